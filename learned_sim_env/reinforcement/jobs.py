"""The pieces of the experiment from dream to twin, each of which writes one file and is done when that is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from learned_sim_env.data.workers import run_seeds
from learned_sim_env.drivers.metadrive import METADRIVE_DRIVERS
from learned_sim_env.files import write_json
from learned_sim_env.reinforcement.recipe import Recipe

# [s] After which a job is taken to hang.
PATIENCE = 12 * 3600.0
# [s] A step of training takes about, by where and by what is seen.
STEP_SECONDS = {
    ("dream", "rays"): 0.0005,
    ("twin", "rays"): 0.008,
    ("dream", "cameras"): 0.025,
    ("twin", "cameras"): 0.018,
    ("dream", "route"): 0.001,
    ("twin", "route"): 0.008,
}


@dataclass(frozen=True)
class Train:
    """Train a policy into the folder `path`."""

    path: Path
    place: str
    recipe: Recipe
    seed: int
    checkpoint: str

    @property
    def work(self) -> float:
        """[s] About how long it takes, for the time that is left."""
        return self.recipe.steps * STEP_SECONDS[self.place, self.recipe.sees]

    @property
    def share(self) -> float:
        """Of its steps, those that it has."""
        run = self.path / "run.json"
        return (
            min(json.loads(run.read_text(encoding="utf-8"))["steps"] / self.recipe.steps, 1.0) if run.is_file() else 0.0
        )

    @property
    def done(self) -> bool:
        """Whether it has all its steps."""
        return self.share == 1.0

    def run(self) -> None:
        """Train."""
        from learned_sim_env.reinforcement.ppo import train

        train(self.place, self.recipe, self.seed, self.path, self.checkpoint)


@dataclass(frozen=True)
class _OneFile:
    """A job that writes all of `path` at its end."""

    path: Path

    @property
    def share(self) -> float:
        """1 when it is written, else 0."""
        return float(self.done)

    @property
    def done(self) -> bool:
        """Whether it is written."""
        return self.path.is_file()


@dataclass(frozen=True)
class Judge(_OneFile):
    """Drive whole episodes in the twin; `path` is a JSON list of `driving.EpisodeScore`."""

    driver: str
    seeds: tuple[int, ...]
    contract: str = "driving"

    @property
    def work(self) -> float:
        """[s]"""
        # The simulator's own drivers compute what no sensor of it tells.
        least = 6.0 if self.driver in METADRIVE_DRIVERS else 1.5
        return len(self.seeds) * (least if self.contract == "driving" else least + 2.0)

    def run(self) -> None:
        """Drive."""
        from learned_sim_env.environments.twin import TwinDrivingEnv
        from learned_sim_env.reinforcement.driving import drive

        twin = TwinDrivingEnv("metadrive", self.contract, modalities=("ego",))
        try:
            episodes = [episode.plain() for episode in drive(twin, self.driver, self.seeds)]
        finally:
            twin.close()
        write_json(self.path, episodes)


@dataclass(frozen=True)
class Match(_OneFile):
    """Drive from the same moments in dream and twin; `path` is a JSON object of the two sides."""

    driver: str
    checkpoint: str
    contexts: int
    repeats: int
    steps: int
    most_steps: int

    @property
    def work(self) -> float:
        """[s]"""
        return self.contexts * (1.0 + 0.005 * (self.most_steps / 2 + self.steps / 2)) + 0.0005 * self.steps

    def run(self) -> None:
        """Drive."""
        import torch

        from learned_sim_env.environments.twin import TwinDrivingEnv
        from learned_sim_env.reinforcement.matched import in_dream, in_twin, reachable
        from learned_sim_env.world_model.checkpoint import from_pretrained

        torch.set_num_threads(1)
        checkpoint = from_pretrained(self.checkpoint)
        contexts = reachable(checkpoint.contexts, self.contexts, self.most_steps)
        dream = in_dream(checkpoint, self.driver, contexts, self.repeats, self.steps)
        # A dream begins after the scenario's start: the time limit is the stretch.
        twin = TwinDrivingEnv("metadrive", checkpoint.contract.name, max_episode_steps=1_000_000, modalities=("ego",))
        try:
            real = in_twin(twin, checkpoint, self.driver, contexts, self.steps)
        finally:
            twin.close()
        write_json(self.path, {"contexts": contexts, "dream": dream.plain(), "twin": real.plain()})


class Job(Protocol):
    """A piece of an experiment; a frozen dataclass, whose file or folder is `path`."""

    @property
    def path(self) -> Path:
        """Where its result is."""
        ...

    @property
    def work(self) -> float:
        """[s] About how long it takes."""
        ...

    @property
    def share(self) -> float:
        """What of it is done."""
        ...

    @property
    def done(self) -> bool:
        """Whether all of it is."""
        ...

    def run(self) -> None:
        """Do it, or the rest of it."""
        ...


def run_all(jobs: Sequence[Job], workers: int) -> Iterator[Job]:
    """Run those that are not done, each in a process of its own kind, and yield each when it is.

    Raises:
        RuntimeError: if a job fails twice.
    """
    todo = [job for job in jobs if not job.done]
    # Long ones first, so that no worker is left with one in the end.
    todo.sort(key=lambda job: -job.work)
    for result in run_seeds(partial(_runner, todo), range(len(todo)), max(1, min(workers, len(todo))), PATIENCE):
        if result.failure:
            raise result.failure.error(f"{todo[result.seed].path} failed")
        yield todo[result.seed]


def _runner(jobs: Sequence[Job]) -> Callable[[int], int]:
    def run(index: int) -> int:
        jobs[index].run()
        return 1

    return run


def read(path: Path) -> Any:
    """What a job wrote."""
    return json.loads(path.read_text(encoding="utf-8"))
