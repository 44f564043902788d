"""A failure as a file that can be driven again, exactly: `learned-sim drive --case FILE`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from learned_sim_env.harness.engine.dream import DreamRunner
from learned_sim_env.harness.engine.job import DriveResult, Job
from learned_sim_env.harness.engine.perturbed_model import PerturbedModel
from learned_sim_env.viewer.session import Session, frame_of
from learned_sim_env.viewer.tape import Recorder, Tape
from learned_sim_env.viewer.tape_format import JUMP, STEP
from learned_sim_env.world_model.checkpoint import Checkpoint, from_pretrained
from learned_sim_env.world_model.protocol import compact

if TYPE_CHECKING:
    from learned_sim_env.environments.learned import LearnedDrivingEnv


def save_case(
    path: Path,
    of: DreamRunner,
    job: Job,
    drive: DriveResult,
    about: Mapping[str, Any],
    env_id: str,
) -> str:
    """Drive a job again as a single environment does, with the actions that were taken, and write that as a tape.

    In a batch numbers are rounded otherwise than alone; so this is the drive that counts.

    Args:
        path: of the `.npz` file.
        of: the runner that drove it.
        job, drive: the case.
        about: JSON-ready, what else to tell about it.
        env_id: of the learned environment with the checkpoint's contract.

    Returns:
        How it ended now: "" where it did not.
    """
    checkpoint = of.checkpoint
    case = {
        "policy": of.driver,
        "start": job.place(of.bank),
        "seed": job.seed,
        "temperature": job.temperature,
        "perturbations": [p.to_dict() for p in job.perturbations],
        **about,
    }
    env = _env(env_id, checkpoint, case)
    runner = DreamRunner(checkpoint, of.bank, of.driver, rows=1, pictures=of.pictures)
    start = runner.starts([job])
    kept = compact(runner.model, start.state)
    session = Session(env)
    fresh = session.moment.snapshot
    record = {**fresh["record"], "ego": start.ego[0], "context": np.int64(-1)}
    snapshot = {
        **fresh,
        "state": {name: value[0].cpu().numpy().copy() for name, value in kept.items()},
        "drawn": {name: value[0].copy() for name, value in start.drawn.items()},
        "seed": job.seed,
        "step": 0,
        "record": record,
    }
    recorder = Recorder(
        checkpoint=checkpoint.fingerprint, env_id=env_id, contract=checkpoint.contract.name, fps=10.0, case=case
    )
    moment = session.open(snapshot)
    recorder.add(JUMP, moment, frame_of(session))
    for action in drive.actions:
        moment = session.step(action)
        recorder.add(STEP, moment, frame_of(session))
        if moment.over:
            break
    env.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    recorder.tape().save(path)
    return str(moment.info["end_reason"])


def open_case(path: Path, checkpoint: str) -> gym.Env:
    """The environment in which the case in a file was driven: its dream is disturbed as it was then.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no case.
    """
    env_id, case = _read(path)
    return _env(env_id, from_pretrained(checkpoint), case)


def summary_of(path: Path) -> str:
    """What a case is, in one line."""
    _, case = _read(path)
    perturbed = ", ".join(f"{p['name']} {p['strength']:g}" for p in case["perturbations"]) or "undisturbed"
    more = {k: v for k, v in case.items() if k not in ("perturbations", "policy", "temperature")}
    return f"{case['policy']}, {perturbed}: {json.dumps(more)}"


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    """The id of the environment that a case was driven in, and the case."""
    about = Tape.load(path).about
    case = about.get("case")
    if case is None:
        raise ValueError(f"{path} is a recording, not a case: replay it by --actions")
    missing = [name for name in ("policy", "temperature", "perturbations") if name not in case]
    if missing:
        raise ValueError(f"the case {path} is not whole: it lacks {', '.join(missing)}")
    return str(about["env_id"]), case


def _env(env_id: str, checkpoint: Checkpoint, case: Mapping[str, Any]) -> Any:
    disturbed: Any = replace(checkpoint, model=PerturbedModel(checkpoint.model))
    # What the model draws of what the contract's environments show, and the view from above if it draws that.
    wanted = dict.fromkeys((*checkpoint.contract.observation, "bev"))
    names = tuple(name for name in wanted if name in ("ego", *checkpoint.model.draws))
    env: gym.Env[Any, Any] = gym.make(env_id, checkpoint=disturbed, temperature=case["temperature"], modalities=names)
    dream: LearnedDrivingEnv = env.unwrapped  # type: ignore[assignment]
    assert dream.episodes.checkpoint is disturbed
    return env
