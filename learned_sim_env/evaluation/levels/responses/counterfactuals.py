"""One moment, many futures: what each of several held actions leads to, in the dream and in its twin."""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from learned_sim_env.data.store import key_of
from learned_sim_env.data.workers import Task, run_seeds
from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.files import replacing
from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.starts import Starts
from learned_sim_env.measures.reward import foreseen_reward
from learned_sim_env.scene import to_frame, wrap_angle
from learned_sim_env.simulators.metadrive import MetaDriveSimulator
from learned_sim_env.twins.approach import bring_to_context
from learned_sim_env.version import __version__
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.contexts import Contexts
from learned_sim_env.world_model.geometry import integrate
from learned_sim_env.world_model.protocol import device_of


@dataclass(frozen=True, eq=False)
class Counterfactuals:
    """N moments, A actions that are each held for T steps.

    pose: (N, A, T, 3) float64 x, y, heading [m, m, rad] after every step, in the frame of the ego at the moment.
    reward: (N, A, T) float64 of every step, 0 after the end of the episode.
    running: (N, A, T) bool, whether the episode had not ended before the step; where it had, `pose` is that of the end.
    """

    pose: np.ndarray
    reward: np.ndarray
    running: np.ndarray


def imagined_counterfactuals(
    checkpoint: Checkpoint, contexts: np.ndarray, actions: np.ndarray, horizon: int
) -> Counterfactuals:
    """The mode of the dream's futures from `contexts` (N,) int64 under `actions` (A, 2) float32.

    It has no end, so all its steps are running; the reward of a step is the expected one, times the probability that no
    earlier step has ended the episode.

    Raises:
        ValueError: if the model predicts something that is not finite.
    """
    model, shape = checkpoint.model, (len(contexts), len(actions), horizon)
    device = device_of(model)
    inference = Inference(device)
    start = Starts(model, checkpoint.contexts, inference).from_contexts(contexts)
    steps = []
    with inference():
        state = {name: value.repeat_interleave(len(actions), 0) for name, value in start.state.items()}
        action = torch.from_numpy(np.tile(actions, (len(contexts), 1))).to(device)
        for t in range(horizon):
            state = model.imagine(state, action, None)
            steps.append({name: value.double().cpu() for name, value in model.decode(state).items()})
            for name, value in steps[-1].items():
                if not torch.isfinite(value).all():
                    raise ValueError(f"the model's {name!r} is not finite {t + 1} steps after the context")
        motion, terms, events = (torch.stack([step[n] for step in steps], 1) for n in ("motion", "terms", "events"))
        pose = integrate(motion).numpy()
    reward = foreseen_reward(terms.numpy(), events.numpy(), checkpoint.contract.reward)
    return Counterfactuals(pose.reshape(*shape, 3), reward.reshape(shape), np.ones(shape, bool))


@dataclass(frozen=True)
class TwinCounterfactuals:
    """Called in a worker, it opens the twin there and gives the task that gathers the futures of a context.

    make_twin: picklable; opens the simulator in which the contexts were recorded. name: of what it opens.
    actions: (A, 2) float32. horizon: steps for which each is held. folder: where every context has a file, named after
    all that its content depends on. settings: JSON-ready, of what it opens.
    """

    make_twin: Callable[[], TwinDrivingEnv]
    name: str
    contexts: Contexts
    actions: np.ndarray
    horizon: int
    folder: Path
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> Task:
        twin = self.make_twin()

        def task(index: int) -> int:
            with replacing(self.file(index)) as temporary:
                np.savez_compressed(temporary, **self.branches(twin, index))
            return self.horizon

        return task

    def file(self, index: int) -> Path:
        """Where the futures of context `index` are kept."""
        c = self.contexts
        about = [self.name, self.settings, __version__, self.horizon, int(c.scenarios[index])]
        seen = (values[index, -1] for name, values in c.observations.items() if name != "ego")
        arrays = (self.actions, c.replay_actions(index), *seen)
        return self.folder / f"{key_of(about, arrays)}.npz"

    def branches(self, twin: TwinDrivingEnv, index: int) -> dict[str, Any]:
        """`pose`, `reward`, `running` as in `Counterfactuals` of context `index`, without its axis.

        And `agreement`: whether they begin at the very moment of the context, see `Agreement.identical`.
        """
        # A copy of MetaDrive's process is a copy of all its state, which it has no other way to give.
        if isinstance(twin.simulator, MetaDriveSimulator) and hasattr(os, "fork"):
            agreement = bring_to_context(twin, self.contexts, index)
            parts = [_in_a_copy(partial(self.hold, twin, action)) for action in self.actions]
        else:
            parts = []
            for action in self.actions:
                agreement = bring_to_context(twin, self.contexts, index)
                parts.append(self.hold(twin, action))
        arrays = {name: np.stack([part[name] for part in parts]) for name in parts[0]}
        return {**arrays, "agreement": np.array(agreement.identical)}

    def hold(self, twin: TwinDrivingEnv, action: np.ndarray) -> dict[str, np.ndarray]:
        """What one action leads to from the twin's present moment: (T, ...) arrays."""
        start, over = twin.scene.ego.pose, False
        pose, reward, running = np.zeros((self.horizon, 3)), np.zeros(self.horizon), np.zeros(self.horizon, bool)
        for t in range(self.horizon):
            running[t] = not over
            if not over:
                _, reward[t], over, _, _ = twin.step(action)
            now = twin.scene.ego.pose
            pose[t] = *to_frame(now[:2], start), wrap_angle(now[2] - start[2])
        return {"pose": pose, "reward": reward, "running": running}


def gather(source: TwinCounterfactuals, indices: np.ndarray, workers: int) -> tuple[Counterfactuals, np.ndarray]:
    """The twin's futures of contexts `indices` (N,) int64, read where they are kept, else gathered by `workers`.

    A context that the twin cannot be brought to, or only to a moment that looks otherwise, is left out: its view says
    that this is not the moment which the dream starts from.

    Returns:
        Those of the M contexts that remain, and which they are, (M,) int64.

    Raises:
        ImportError: if the twin is needed and not installed.
        RuntimeError: if workers cannot start or keep failing.
        ValueError: if no context remains.
    """
    todo = [int(i) for i in indices if not source.file(i).exists()]
    if todo:
        # Rather now than in every worker.
        source.make_twin().close()
    with (
        closing(run_seeds(source, todo, workers)) as results,
        tqdm(total=len(indices), initial=len(indices) - len(todo), unit="moment", desc="twin") as bar,
    ):
        for result in results:
            if result.failure:
                bar.write(f"context {result.seed} left out: {result.failure.reason}")
            bar.update()
    found: dict[int, dict[str, Any]] = {}
    for i in indices:
        if source.file(i).exists():
            with np.load(source.file(i), allow_pickle=False) as file:
                # Earlier versions kept the share of equal pixels.
                if file["agreement"] == 1.0:
                    found[int(i)] = dict(file)
    if not found:
        raise ValueError(
            f"{source.name} comes to the moment of none of {len(indices)} contexts: it is not the simulator, or not "
            "the version of it, that they were recorded in"
        )
    arrays = (np.stack([one[name] for one in found.values()]) for name in ("pose", "reward", "running"))
    return Counterfactuals(*arrays), np.array(list(found))


def _in_a_copy(work: Callable[[], Any]) -> Any:
    """What `work` returns in a copy of this process; nothing that it does is felt here."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        # The copy must never go on to what this process does next.
        try:
            os.close(reading)
            with os.fdopen(writing, "wb") as file:
                pickle.dump(work(), file)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        answer = file.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError(f"a copy of the simulator's process failed with status {status}")
    return pickle.loads(answer)
