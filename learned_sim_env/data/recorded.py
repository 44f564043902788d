"""Drives of recordings as episodes: what was not recorded is left out or masked, see `data.episode`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env import task
from learned_sim_env.data.episode import PARTS, SCHEMA, TRANSITIONS, Episode
from learned_sim_env.data.episode_recorder import EpisodeRecorder
from learned_sim_env.data.portions import Portion
from learned_sim_env.data.store import EpisodeFolder
from learned_sim_env.recordings.drives import Drive
from learned_sim_env.recordings.film import Footage
from learned_sim_env.recordings.views import NO_VIEWS, Views
from learned_sim_env.rendering.bev import BevRenderer
from learned_sim_env.road import road_index
from learned_sim_env.scene import Scene
from learned_sim_env.spec import CONTRACTS, RECORDED_SCENARIOS, Contract

# What a drive can have of the contract's modalities.
NAMES = ("bev", "ego", "route")
# The contract of films.
FILMED = CONTRACTS["driving-camera"]


class _Moments:
    """Everything read off a drive's scenes, moment by moment, as `EpisodeRecorder` asks for it.

    A recorded car that drives on has not collided, even where boxes overlap, and the end of a recording is no arrival.
    """

    def __init__(self, contract: Contract):
        self.contract, self._renderer = contract, BevRenderer(contract.bev)

    def look(self, before: Scene | None, scene: Scene) -> None:
        contract, self.scene = self.contract, scene
        self.map_layer = self._renderer.map_layer(scene)
        self.events = task.events(scene, contract)
        self.events[[task.EVENTS.index("collision"), task.EVENTS.index("arrival")]] = False
        self.tags = task.scenario_tags(scene)
        terms = np.zeros(4, np.float32) if before is None else task.graded_terms(before, scene, contract)
        events = np.zeros_like(self.events) if before is None else self.events
        self.outcome = task.outcome(terms[None], events[None], contract.reward)

    def observed(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """As `TwinDrivingEnv.observed`."""
        return {name: self._observed(name) for name in names}

    def _observed(self, name: str) -> np.ndarray:
        if name == "bev":
            return self._renderer.semantic(self.scene, self.map_layer)
        if name == "ego":
            return task.ego_vector(self.scene, self.contract)
        waypoints = road_index(self.scene.road_map).waypoints(self.scene.ego.pose)
        return np.clip(waypoints, *self.contract.modality(name).limits)


def episode_of(drive: Drive, seed: int, views: Views = NO_VIEWS, contract: Contract | None = None) -> Episode:
    """A drive as an episode that ends by the time limit.

    Without a map there is no view from above, no map, reward, event or tag; without others no view, agents or tag.
    Actions that a car could not have done, or that were not recorded, are masked, and so is the reward of the steps
    that they belong to; what the ego vector says of them is what follows from the path. Cameras are what `views` has,
    masked where there was no picture.
    """
    contract = CONTRACTS["driving"] if contract is None else contract
    seen_whole = drive.has_map and drive.others is not None
    names = [m.name for m in contract.modalities if m.name in NAMES and (m.name != "bev" or seen_whole)]
    moments = _Moments(contract)
    recorder = EpisodeRecorder(moments, names)  # type: ignore[arg-type]
    before = None
    for t, scene in enumerate(drive.scenes()):
        moments.look(before, scene)
        if before is not None:
            reward = float(moments.outcome.reward[0])
            recorder.transition(drive.controls.actions[t - 1], reward, False, scene.last)
        recorder.moment()
        before = scene
    episode = recorder.episode(seed, "recorded", "recorded", "time_limit")
    absent = set() if drive.has_map else {"map", "reward", "events", "tags"}
    absent |= set() if drive.others is not None else {"agents", "tags"}
    episode = _masked(replace(episode, log=drive.log or drive.name), absent, np.asarray(drive.controls.valid.all(-1)))
    masks = {name: known for name, known in views.known.items() if not known.all()}
    return replace(episode, observations={**episode.observations, **views.frames}, valid={**episode.valid, **masks})


def filmed_episode(footage: Footage, seed: int, camera: str) -> Episode:
    """A piece of a film as an episode of what the modality `camera` shows, in which all else is unknown."""
    steps = len(footage)
    ego = FILMED.modality("ego")
    nowhere = np.zeros(steps + 1, bool)
    return Episode(
        seed=seed,
        simulator="recorded",
        behaviour="recorded",
        end_reason="time_limit",
        observations={camera: footage.pictures, "ego": np.zeros((steps + 1, *ego.shape), ego.dtype)},
        actions=np.zeros((steps, 2), np.float32),
        terminations=np.zeros(steps, bool),
        truncations=np.arange(steps) == steps - 1,
        valid={"ego": nowhere, "actions": nowhere.copy()},
        log=footage.log,
    )


def _masked(episode: Episode, absent: set[str], able: np.ndarray) -> Episode:
    """Without the parts that are `absent`, and with actions known only where `able` (T,) bool."""
    # A term of the reward is about how the action differs from the one before.
    rewarded = able & np.concatenate([able[:1], able[:-1]])
    if not rewarded.any():
        absent = absent | {"reward"}
    fields: dict[str, Any] = {name: None for part in absent for name in PARTS[part]}
    if able.all():
        return replace(episode, **fields)
    fields["actions"] = np.where(able[:, None], episode.actions, np.float32(0))
    masks = {"actions": able, **({} if "reward" in absent else {"reward": rewarded})}
    valid = {name: np.concatenate([mask[:1], mask]) for name, mask in masks.items()}
    if "reward" not in absent:
        assert episode.rewards is not None
        fields["rewards"] = np.where(rewarded, episode.rewards, np.float32(0))
        for name in ("reward_terms", "cost_terms"):
            fields[name] = np.where(valid["reward"][:, None], getattr(episode, name), np.float32(0))
    return replace(episode, **fields, valid=valid)


@dataclass(frozen=True)
class RecordedEpisodes:
    """Portions of episodes in files, read one by one: they get the seeds of `spec.RECORDED_SCENARIOS`.

    pieces: folder, number of the episode in it, and what of it.
    """

    pieces: Sequence[tuple[Path, int, Portion]]

    def __iter__(self) -> Iterator[Episode]:
        for seed, (folder, number, portion) in zip(RECORDED_SCENARIOS, self.pieces):
            whole = EpisodeFolder(folder).read(number)
            yield replace(part_of(whole, portion.first, portion.last), seed=seed, split=portion.split)


def part_of(episode: Episode, first: int, last: int) -> Episode:
    """Moments `first` to `last` of an episode; it is truncated there."""
    if (first, last) == (0, len(episode)):
        return episode
    moments, steps = slice(first, last + 1), slice(first, last)
    masks = {name: mask[moments] for name, mask in episode.valid.items()}
    # What is known nowhere is left out.
    absent = {name for name, mask in masks.items() if name not in ("actions", "ego") and not mask.any()}
    fields: dict[str, Any] = {
        name: array[steps if name in TRANSITIONS else moments]
        for name, array in episode.arrays().items()
        if name in SCHEMA
    }
    fields.update({name: None for part in absent & set(PARTS) for name in PARTS[part]})
    fields["truncations"] = np.arange(last - first) == last - first - 1
    return replace(
        episode,
        **fields,
        end_reason="time_limit",
        observations={n: seen[moments] for n, seen in episode.observations.items() if n not in absent},
        valid={name: mask for name, mask in masks.items() if name not in absent and not mask.all()},
    )
