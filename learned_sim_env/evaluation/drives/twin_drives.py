"""Drives in the simulator, with whose moments dreams begin and which they are compared with; kept on disk."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from learned_sim_env.data.store import key_of, write_npz
from learned_sim_env.data.workers import Task, run_seeds
from learned_sim_env.drivers import open_driver
from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.evaluation.drives.drives import Drives, DrivesConfig
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.version import __version__
from learned_sim_env.world_model.checkpoint import Checkpoint

# In which drives are driven.
SIMULATOR = "metadrive"


@dataclass(frozen=True)
class TwinDrives:
    """Called in a worker, it opens the simulator there and gives the task that drives the scenario of a seed.

    contract: its name. names: modalities that a model observes; cameras: those that are compared.
    context: real moments before the first step. driver: see `drivers`. folder: where every drive has a file, named
    after all that its content depends on.
    """

    contract: str
    names: tuple[str, ...]
    cameras: tuple[str, ...]
    context: int
    driver: str
    config: DrivesConfig
    folder: Path

    def __call__(self) -> Task:
        env = TwinDrivingEnv(
            SIMULATOR,
            self.contract,
            obs_type="ego",
            max_episode_steps=self.context + self.config.before + self.config.steps,
        )

        def task(seed: int) -> int:
            write_npz(self.file(seed), self.drive(env, seed))
            return self.config.steps

        return task

    def file(self, seed: int) -> Path:
        """Where the drive of a scenario is kept."""
        c = self.config
        about = [SIMULATOR, __version__, self.contract, self.names, self.cameras, self.context, self.driver]
        return self.folder / f"{key_of([*about, c.before, c.steps, c.every, c.appearance, seed, 'ego', 'end'])}.npz"

    def drive(self, env: TwinDrivingEnv, seed: int) -> dict[str, np.ndarray]:
        """Arrays by name: of the context "context.<modality>" (T, *shape) and "actions" (T, 2) that led
        to them; "frames.<camera>" (A, H, W, 3), "views" (A, h, w), "ego" (A, 6), "running" (A,) bool; "condition", that
        of the appearance; "end", why the episode ended, "time_limit" if it did not. Past its end its last moment is
        repeated.

        Raises:
            ValueError: if the episode ends before the context does.
        """
        env.reset(seed=seed, options={"appearance": self.config.appearance} if self.config.appearance else None)
        act, began, over = open_driver(self.driver, [seed]), np.ones(1, bool), False
        rows: dict[str, list[np.ndarray]] = {"actions": [], "views": [], "ego": [], "running": []}
        end = "time_limit"
        drawn, first, action = set(self.config.drawn), 1 - self.context - self.config.before, np.zeros(2, np.float32)
        for age in range(first, self.config.steps + 1):
            if age > first:
                action = act({"bev": colourise(env.semantic)[None], "ego": env.ego_vector[None]}, began)[0]
                began = np.zeros(1, bool)
                if not over:
                    _, _, terminated, truncated, info = env.step(action)
                    over = terminated or truncated
                    end = info["end_reason"] if over else end
            if age <= 0 and over:
                raise ValueError(f"the episode of scenario {seed} ends before the context does")
            if -self.context < age <= 0:
                rows["actions"].append(action)
                for name, value in env.observed(self.names).items():
                    rows.setdefault(f"context.{name}", []).append(value)
            if age in drawn:
                for name, value in env.observed(self.cameras).items():
                    rows.setdefault(f"frames.{name}", []).append(value)
                rows["views"].append(env.semantic)
                rows["ego"].append(env.ego_vector)
                rows["running"].append(np.array(not over))
        appearance = env.cameras.appearance
        condition = np.array("" if appearance is None else appearance.condition)
        arrays = {name: np.stack(values) for name, values in rows.items()}
        return {**arrays, "condition": condition, "end": np.array(end)}


def reason_without_twin(checkpoint: Checkpoint) -> str | None:
    """Why drives of a checkpoint have no twin; None if they have."""
    learned_from = checkpoint.training.get("simulators")
    if learned_from and SIMULATOR not in learned_from:
        return f"it was trained on {', '.join(learned_from)}, and the twin is {SIMULATOR}"
    return None


def drive_twin(source: TwinDrives, seeds: np.ndarray, workers: int) -> dict[int, dict[str, np.ndarray]]:
    """The drives of scenarios `seeds` (N,) int64, see `TwinDrives.drive`: read where they are kept, else driven.

    Those whose episode ends before the context does are left out.

    Raises:
        ImportError: if the simulator is needed and not installed.
        RuntimeError: if workers cannot start or keep failing.
        ValueError: if none remains.
    """
    todo = [int(seed) for seed in seeds if not source.file(int(seed)).exists()]
    if todo:
        # Rather now than in every worker.
        TwinDrivingEnv(SIMULATOR, source.contract, obs_type="ego").close()
    with (
        closing(run_seeds(source, todo, workers, timeout=900.0)) as results,
        tqdm(total=len(seeds), initial=len(seeds) - len(todo), unit="drive", desc="twin") as bar,
    ):
        for result in results:
            if result.failure:
                bar.write(f"scenario {result.seed} left out: {result.failure.reason}")
            bar.update()
    found = {}
    for seed in (int(seed) for seed in seeds):
        if source.file(seed).exists():
            with np.load(source.file(seed), allow_pickle=False) as file:
                found[seed] = dict(file.items())
    if not found:
        raise ValueError(f"none of {len(seeds)} drives in {SIMULATOR} lasts until a context is over")
    return found


def twin_side(found: dict[int, dict[str, np.ndarray]], cameras: tuple[str, ...], viewed: bool) -> Drives:
    """The frames of drives as `drive_twin` gives them; with views from above if they are wanted."""
    kept = list(found.values())
    frames = {name: np.stack([one[f"frames.{name}"] for one in kept]) for name in cameras}
    views = np.stack([one["views"] for one in kept]) if viewed else None
    running, n = np.stack([one["running"] for one in kept]), len(kept)
    ego, ends = np.stack([one["ego"] for one in kept]), np.array([str(one["end"]) for one in kept])
    none = np.zeros(running.shape, np.float32)
    return Drives(running, np.ones(n, bool), frames, views, ego, ends, none, np.zeros(n, bool), np.zeros(n, np.int64))
