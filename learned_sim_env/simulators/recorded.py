"""Recordings as a simulator: the ego drives itself, the others do what they did when they were recorded, or react."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.recordings import formats
from learned_sim_env.recordings.drives import Drive, drives_of, ego_of
from learned_sim_env.recordings.follower import act
from learned_sim_env.recordings.others import Moved
from learned_sim_env.recordings.reactions import Reactions
from learned_sim_env.recordings.recording import RecordingError
from learned_sim_env.scene import Scene, SimulatorError, wrap_angle
from learned_sim_env.spec import SCENARIO_TAGS, Contract, unknown
from learned_sim_env.task import scenario_tags

TRAFFIC = ("replay", "react")
# [s] left of a recording where an episode may begin, and drives that are kept in memory.
LEFT, KEPT = 5.0, 8
# Steps for which what was asked of the car is kept: those by which it may answer late.
MOST_STEPS = 10
# [m] From farther than this from where the ego was recorded, what the others do says little.
BELIEVABLE = 5.0


class RecordedSimulator:
    """Drives of recordings with a map, in their own frames.

    Args:
        contract: clock and conventions to keep.
        recordings: a file or folder of recordings, of any format that is read.
        recording_format: its name; "": found from what the files look like.
        traffic: "replay": others do what was recorded, whatever the ego does; "react": they brake for it.
        fit_car: the ego answers as the car of the recording does, see `recordings.car_fit`, its delays included.

    Raises:
        ValueError: for an unknown format or traffic, and where there are no recordings.
        OSError: if there is nothing at `recordings`.

    `reset(seed, options)`: the seed draws a drive and where in it to begin. options: `log`, name of a recording;
    `time`, [s] on its clock; `scenario`, one of `spec.SCENARIO_TAGS`. Scenes have extras: `recorded_distance` [m] from
    where the ego was recorded at that moment; `unreacting`, how many others would have braked for it and do not;
    `believable`, whether the former is below `BELIEVABLE` and the latter zero.
    """

    OPTIONS = ("log", "time")

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
        self._contract, self._react, self._fit_car = contract, traffic == "react", fit_car
        self._files = list(formats.find(Path(recordings), recording_format or None))
        if not self._files:
            raise ValueError(f"{recordings} holds no recordings: {formats.what_else(Path(recordings))}")
        self._drives: OrderedDict[int, list[Drive]] = OrderedDict()
        self._refused: dict[int, str] = {}
        self._drive: Drive | None = None

    @staticmethod
    def in_use() -> bool:
        """Never: a process can hold any number."""
        return False

    @property
    def drive(self) -> Drive:
        """What the episode is a part of."""
        if self._drive is None:
            raise SimulatorError("there is no episode: reset the environment")
        return self._drive

    def reset(self, seed: int, options: dict[str, Any]) -> Scene:
        """Begin in the drive that the seed draws, or that the options name.

        Raises:
            ValueError: for an unknown log or scenario, or a time that is not in it.
            SimulatorError: if no file holds a drive with a map.
        """
        rng = np.random.default_rng([seed, 0x4EC0])
        tag = options.get("scenario")
        if tag is not None and tag not in SCENARIO_TAGS:
            raise unknown("scenario", tag, SCENARIO_TAGS)
        drive, self._t = self._begin(rng, options.get("log"), options.get("time"), tag)
        self._drive = drive
        self._state = drive.states[self._t].copy()
        self._reactions = Reactions(drive)
        self._asked = self._asked_for(np.arange(self._t - MOST_STEPS, self._t))
        action = drive.controls.actions[max(self._t - 1, 0)]
        return self._scene(drive.ego(self._t, float(action[0]), float(action[1])))

    def step(self, action: np.ndarray) -> Scene:
        """Apply (2,) float32 `[steer, throttle_brake]` for one clock step."""
        drive, before = self.drive, self._state
        if self._t >= len(drive):
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
        self._drives.clear()
        self._drive = None

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
        return drive.scene_around(self._t, ego, self._moved(), extras)

    def _moved(self) -> Moved | None:
        return self._reactions.moved() if self._react else None

    def _begin(
        self, rng: np.random.Generator, log: str | None, time: float | None, tag: str | None
    ) -> tuple[Drive, int]:
        """A drive and the moment to begin at."""
        if log is not None:
            return self._named(log, time)
        if time is not None:
            raise ValueError("time is of one recording: name it as well, as log=...")
        for number in rng.permutation(len(self._files)):
            drives = self._of(int(number))
            for k in rng.permutation(len(drives)):
                drive = drives[int(k)]
                last = max(len(drive) - int(LEFT / drive.dt), 0)
                for t in (int(t) for t in rng.permutation(last + 1)[: 20 if tag else 1]):
                    if tag is None or scenario_tags(drive.scene(t))[SCENARIO_TAGS.index(tag)]:
                        return drive, t
        if tag is not None and any(self._of(number) for number in range(len(self._files))):
            raise ValueError(f"no recording has a moment with scenario {tag!r}")
        raise SimulatorError(f"no recording can be driven: {'; '.join(self._refused.values())}")

    def _named(self, log: str, time: float | None) -> tuple[Drive, int]:
        names = []
        for number in range(len(self._files)):
            drives = [d for d in self._of(number) if log in (d.name, d.name.rpartition("/")[0])]
            names += [d.name for d in self._of(number)]
            for drive in drives:
                t = 0 if time is None else round((time - drive.start) / drive.dt)
                if 0 <= t < len(drive):
                    return drive, t
            if drives:
                pieces = ", ".join(f"{d.start:.1f} to {d.start + len(d) * d.dt:.1f}" for d in drives)
                raise ValueError(f"time {time} is not in the drives of {log!r}, which are from {pieces} s")
        raise unknown("log", log, names)

    def _of(self, number: int) -> list[Drive]:
        """Drives of a file that have a map, of which the latest used are kept."""
        if number not in self._drives:
            self._drives[number] = self._read(number)
            while len(self._drives) > KEPT:
                self._drives.popitem(last=False)
        self._drives.move_to_end(number)
        return self._drives[number]

    def _read(self, number: int) -> list[Drive]:
        path, name = self._files[number]
        found, reasons = [], []
        try:
            for recording in formats.read(path, name):
                if isinstance(recording, RecordingError):
                    reasons.append(str(recording))
                elif recording.road is None:
                    reasons.append(f"{recording.name} has no map to drive on")
                else:
                    try:
                        found += drives_of(recording, self._contract, self._fit_car)
                    except RecordingError as error:
                        reasons.append(f"{recording.name}: {error}")
        except RecordingError as error:
            reasons.append(str(error))
        if not found:
            self._refused[number] = "; ".join(reasons) or f"{path.name} is empty"
        return found
