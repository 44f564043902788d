"""Recordings as a simulator: the ego drives itself, the others do what they did when they were recorded, or react."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.recordings.drives import Drive, ego_of
from learned_sim_env.recordings.follower import act
from learned_sim_env.recordings.library import Library, Stretch
from learned_sim_env.recordings.others import Moved
from learned_sim_env.recordings.reactions import Reactions
from learned_sim_env.scene import Scene, SimulatorError, wrap_angle
from learned_sim_env.spec import RECORDED_SCENARIOS, SCENARIO_TAGS, Contract, unknown
from learned_sim_env.task import scenario_tags

TRAFFIC = ("replay", "react")
# [s] left of a recording where an episode may begin.
LEFT = 5.0
# Steps for which what was asked of the car is kept: those by which it may answer late.
MOST_STEPS = 10
# [m] From farther than this from where the ego was recorded, what the others do says little.
BELIEVABLE = 5.0


class RecordedSimulator:
    """Drives of recordings with a map, in their own frames.

    Args:
        contract: clock and conventions to keep.
        recordings: a file or folder of recordings, of any format that is read; or the folder of an import, and then
            only what that holds: training seeds begin in its training split, test seeds in its test split.
        recording_format: its name; "": found from what the files look like.
        traffic: "replay": others do what was recorded, whatever the ego does; "react": they brake for it.
        fit_car: the ego answers as the car of the recording does, see `recordings.car_fit`, its delays included.

    Raises:
        ValueError: for an unknown format or traffic, and where there are no recordings.
        OSError: if there is nothing at `recordings`.

    `reset(seed, options)`: the seed draws a drive and where in it to begin; one of `spec.RECORDED_SCENARIOS` is an
    episode of the import, as its dataset has it. options: `log`, name of a recording; `time`, [s] on its clock; `step`,
    how many steps after the beginning of an imported episode; `scenario`, one of `spec.SCENARIO_TAGS`. Scenes have
    extras: `recorded_distance` [m] from
    where the ego was recorded at that moment; `unreacting`, how many others would have braked for it and do not;
    `believable`, whether the former is below `BELIEVABLE` and the latter zero.
    """

    OPTIONS = ("log", "time", "step")

    def __init__(
        self,
        contract: Contract,
        recordings: str | Path = "",
        recording_format: str = "",
        traffic: str = "replay",
        fit_car: bool = False,
    ):
        if traffic not in TRAFFIC:
            raise unknown("traffic", traffic, TRAFFIC)
        if not recordings:
            raise ValueError("recordings is empty: name a file or folder of recordings, as recordings='my/logs'")
        self._react = traffic == "react"
        self._library = Library(contract, Path(recordings), recording_format, fit_car)
        self._stretch: Stretch | None = None

    @staticmethod
    def in_use() -> bool:
        """Never: a process can hold any number."""
        return False

    @property
    def drive(self) -> Drive:
        """What the episode is a part of."""
        if self._stretch is None:
            raise SimulatorError("there is no episode: reset the environment")
        return self._stretch.drive

    def reset(self, seed: int, options: dict[str, Any]) -> Scene:
        """Begin in the drive that the seed draws, or that the options name.

        Raises:
            ValueError: for an unknown log or scenario, a time or step that is not in it, or an episode that is not in
                the import.
            SimulatorError: if no file holds a drive with a map.
        """
        tag = options.get("scenario")
        if tag is not None and tag not in SCENARIO_TAGS:
            raise unknown("scenario", tag, SCENARIO_TAGS)
        self._stretch, self._t = self._begin(seed, options)
        drive = self._stretch.drive
        self._state = drive.states[self._t].copy()
        self._reactions = Reactions(drive)
        self._asked = self._asked_for(np.arange(self._t - MOST_STEPS, self._t))
        action = drive.controls.actions[max(self._t - 1, 0)]
        return self._scene(drive.ego(self._t, float(action[0]), float(action[1])))

    @staticmethod
    def entering(seed: int, steps: int) -> Mapping[str, Any] | None:
        """Options that begin scenario `seed` `steps` steps after its start; None: it has to be driven there."""
        return {"step": steps} if seed in RECORDED_SCENARIOS else None

    def step(self, action: np.ndarray) -> Scene:
        """Apply (2,) float32 `[steer, throttle_brake]` for one clock step."""
        drive, before = self.drive, self._state
        if self._t >= self._last:
            raise SimulatorError("the recording is over: reset the environment")
        if self._react:
            self._reactions.step(self._t, self._ego)
        self._asked = np.concatenate([self._asked[1:], np.asarray(action, np.float32)[None]])
        late = -1 - np.array(self._late)
        self._state = drive.car.step(before, self._asked[late, (0, 1)], drive.dt)
        self._t += 1
        turned = float(wrap_angle(self._state[2] - before[2])) / drive.dt
        pushed = float(self._state[3] - before[3]) / drive.dt
        return self._scene(ego_of(drive.car, self._state, turned, pushed, float(action[0]), float(action[1])))

    def recorded_action(self) -> np.ndarray:
        """(2,) float32: what leads along the recorded drive, by the car that drives here: as early as that is late."""
        return self._asked_for(np.array([self._t]))[0]

    def policy_action(self, name: str) -> np.ndarray:
        """(2,) float32: what the "expert", which drives the recorded path, or "idm", which brakes as well, would do."""
        agents = self.drive.scene_around(self._t, self._ego, self._moved()).agents
        return act(name, self.drive, self._t, self._state, agents)

    def close(self) -> None:
        """Forget the drives."""
        self._library.clear()
        self._stretch = None

    @property
    def _last(self) -> int:
        """The last moment of the episode."""
        assert self._stretch is not None
        return self._stretch.last

    @property
    def _late(self) -> tuple[int, int]:
        """Steps after which the car answers to steering and to the pedals."""
        car, dt = self.drive.car, self.drive.dt
        return min(round(car.steering_delay / dt), MOST_STEPS - 1), min(round(car.pedal_delay / dt), MOST_STEPS - 1)

    def _asked_for(self, steps: np.ndarray) -> np.ndarray:
        """(N, 2) float32: what was asked for in steps (N,) of the recorded drive, which the car answered to later."""
        answered = np.clip(steps[:, None] + np.array(self._late), 0, len(self.drive) - 1)
        return np.take_along_axis(self.drive.controls.inverse, answered, 0)

    def _scene(self, ego: Any) -> Scene:
        self._ego, drive = ego, self.drive
        away = float(np.hypot(*(ego.pose[:2] - drive.ego(self._t).pose[:2])))
        unreacting = 0 if self._react else len(self._reactions.disturbed(self._t, ego))
        extras = {
            "recorded_distance": away,
            "unreacting": unreacting,
            "believable": away < BELIEVABLE and unreacting == 0,
        }
        scene = drive.scene_around(self._t, ego, self._moved(), extras)
        return replace(scene, last=self._t >= self._last)

    def _moved(self) -> Moved | None:
        return self._reactions.moved() if self._react else None

    def _begin(self, seed: int, options: dict[str, Any]) -> tuple[Stretch, int]:
        """What to drive in, and the moment to begin at."""
        log, time, tag, step = (options.get(name) for name in ("log", "time", "scenario", "step"))
        if log is not None:
            return self._library.named(log, time)
        if time is not None:
            raise ValueError("time is of one recording: name it as well, as log=...")
        if seed in RECORDED_SCENARIOS:
            found = self._library.episode(seed)
            begin = found.first + int(step or 0)
            if not found.first <= begin < found.last:
                raise ValueError(f"step {step} is none of the {found.last - found.first} of episode {seed}")
            return found, begin
        if step is not None:
            raise ValueError(f"step is of an imported episode, and seed {seed} is none of {RECORDED_SCENARIOS}")
        rng = np.random.default_rng([seed, 0x4EC0])
        for found in self._library.drawn(seed, rng):
            drive = found.drive
            beginnings = max(found.last - found.first - int(LEFT / drive.dt), 0) + 1
            for t in (found.first + int(t) for t in rng.permutation(beginnings)[: 20 if tag else 1]):
                if tag is None or scenario_tags(drive.scene(t))[SCENARIO_TAGS.index(tag)]:
                    return found, t
        if tag is not None and self._library.any():
            raise ValueError(f"no recording has a moment with scenario {tag!r}")
        raise SimulatorError(f"no recording can be driven: {'; '.join(self._library.refused.values())}")
