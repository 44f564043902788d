"""Drives of recordings as episodes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from learned_sim_env import task
from learned_sim_env.data.episode import METADATA, SCHEMA, Episode, EpisodeRecorder
from learned_sim_env.data.splits import COLLECTED_SPLITS
from learned_sim_env.data.store import write_npz
from learned_sim_env.recordings.drives import Drive
from learned_sim_env.rendering.bev import BevRenderer
from learned_sim_env.scene import Scene
from learned_sim_env.spec import CONTRACTS, Contract

# Of the logs, held out for test and for validation.
TEST_SHARE, VALIDATION_SHARE = 0.1, 0.1
# Of the actions that a car could not have done, at most.
LEAST_VALID = 0.9


class _Moments:
    """Everything read off a drive's scenes, moment by moment, as `EpisodeRecorder` asks for it.

    A recorded car that drives on has not collided, even where boxes overlap, and the end of a recording is no arrival.
    """

    def __init__(self, contract: Contract):
        self._contract, self._renderer = contract, BevRenderer(contract.bev)

    def look(self, before: Scene | None, scene: Scene) -> None:
        contract, self.scene = self._contract, scene
        self.map_layer = self._renderer.map_layer(scene)
        self.semantic = self._renderer.semantic(scene, self.map_layer)
        self.ego_vector = task.ego_vector(scene, contract)
        self.events = task.events(scene, contract)
        self.events[[task.EVENTS.index("collision"), task.EVENTS.index("arrival")]] = False
        self.tags = task.scenario_tags(scene)
        terms = np.zeros(4, np.float32) if before is None else task.graded_terms(before, scene, contract)
        events = np.zeros_like(self.events) if before is None else self.events
        self.outcome = task.outcome(terms[None], events[None], contract.reward)


def episode_of(drive: Drive, seed: int, contract: Contract | None = None) -> Episode:
    """A drive as an episode that ends by the time limit."""
    contract = CONTRACTS["driving"] if contract is None else contract
    moments = _Moments(contract)
    recorder = EpisodeRecorder(moments)  # type: ignore[arg-type]
    before = None
    for t, scene in enumerate(drive.scenes()):
        moments.look(before, scene)
        if before is not None:
            reward = float(moments.outcome.reward[0])
            recorder.transition(drive.controls.actions[t - 1], reward, False, scene.last)
        recorder.moment()
        before = scene
    return recorder.episode(seed, "recorded", "recorded", "time_limit")


def why_not(drive: Drive) -> str:
    """Why a drive is no episode for training, "" if it is one."""
    if not drive.has_map:
        return "it has no map"
    if drive.others is None:
        return "others were not recorded"
    share = float(drive.controls.valid.all(-1).mean())
    return "" if share >= LEAST_VALID else f"a car could have done {share:.0%} of its actions only"


def seeds_of(names: Sequence[tuple[str, str]]) -> list[int]:
    """A seed for each drive, told by its log and name: drives of one log belong to the same split.

    In the order of their names, so that the same recordings get the same seeds.
    """
    free = {
        "test": iter(COLLECTED_SPLITS["test"]),
        "validation": iter(range(9, COLLECTED_SPLITS["train"].stop, 10)),
        "train": (seed for seed in COLLECTED_SPLITS["train"] if seed % 10 != 9),
    }
    seeds = {drive: next(free[_split(drive[0])]) for drive in sorted(names)}
    return [seeds[drive] for drive in names]


def _split(log: str) -> str:
    share = int(hashlib.sha256(log.encode()).hexdigest()[:8], 16) / 2**32
    return "test" if share < TEST_SHARE else "validation" if share < TEST_SHARE + VALIDATION_SHARE else "train"


@dataclass(frozen=True)
class RecordedEpisodes:
    """Episodes in files, read one by one, each with its seed."""

    files: tuple[tuple[Path, int], ...]

    def __iter__(self) -> Iterator[Episode]:
        return (replace(read_drive(path), seed=seed) for path, seed in self.files)


def write_drive(path: Path, episode: Episode) -> None:
    """Keep an episode in a file of its own."""
    metadata = {name: np.array(value) for name, value in episode.metadata().items()}
    write_npz(path, {**episode.arrays(), **metadata})


def read_drive(path: Path) -> Episode:
    """The episode of a file."""
    with np.load(path, allow_pickle=False) as file:
        return Episode(**{name: file[name] for name in SCHEMA}, **{name: file[name].item() for name in METADATA})
