"""What every format of recordings is read into: one drive as it was recorded, nothing resampled, nothing made up.

World frame: x, y in metres, right-handed, heading in radians counter-clockwise from +x. Times in seconds, on one clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from learned_sim_env.recordings.pictures import Pictures
from learned_sim_env.scene import Line
from learned_sim_env.spec import SemanticClass

# Controls and measurements of the car by name: unit, sign.
SIGNALS = {
    "steer": "-1 to 1, + is right, 1 is full lock",
    "steering_wheel": "rad at the steering wheel, + is left",
    "road_wheel": "rad at the front wheels, + is left",
    "throttle": "0 to 1",
    "brake": "0 to 1",
    "throttle_brake": "-1 (full brake) to 1 (full throttle)",
    "speed": "m/s, negative in reverse",
    "autonomous": "1 while a program drives, 0 while a person does",
}
# [m] Length, width, wheelbase and how far the box's middle is ahead of the rear axle, of a car that is not known.
USUAL = (4.7, 1.9, 2.8, 1.4)


class RecordingError(ValueError):
    """A recording that cannot be read or used, and why."""


@dataclass(frozen=True, eq=False)
class Signal:
    """A measured quantity: times (N,) float64 [s], ascending; values (N,) float64."""

    times: np.ndarray
    values: np.ndarray

    def at(self, times: np.ndarray) -> np.ndarray:
        """(M,) values at `times` (M,), interpolated; NaN where the nearest measurement is more than 0.5 s away."""
        i = np.clip(np.searchsorted(self.times, times), 1, max(len(self.times) - 1, 1))
        near = np.abs(self.times[np.clip(np.stack([i - 1, i]), 0, len(self.times) - 1)] - times).min(0)
        return np.where(near <= 0.5, np.interp(times, self.times, self.values), np.nan)


@dataclass(frozen=True)
class Vehicle:
    """The driven car [m]. rear: how far the middle of its box is ahead of its rear axle. guessed: what is assumed."""

    length: float = USUAL[0]
    width: float = USUAL[1]
    wheelbase: float = USUAL[2]
    rear: float = USUAL[3]
    guessed: frozenset[str] = frozenset({"length", "width", "wheelbase", "rear"})

    @staticmethod
    def of_box(length: float, width: float) -> Vehicle:
        """A car of which the box alone is known: axles where those of most cars are."""
        return Vehicle(length, width, 0.6 * length, 0.3 * length, frozenset({"wheelbase", "rear"}))


USUAL_CAR = Vehicle()


@dataclass(frozen=True, eq=False)
class EgoPath:
    """Where the driven car was.

    times: (N,) float64 [s], ascending. places: (N, 2) float64 [m] of the recorded point. headings: (N,) float64 [rad],
    or None where only places are known. origin: how far that point is ahead of the rear axle [m].
    noise: [m] how far places may be off from one moment to the next.
    """

    times: np.ndarray
    places: np.ndarray
    headings: np.ndarray | None
    origin: float = 0.0
    noise: float = 0.05


@dataclass(frozen=True, eq=False)
class Track:
    """Another road user, at the moments at which it was seen.

    times: (N,) float64 [s], ascending. poses: (N, 3) float64 of its box's middle. size: length, width [m].
    """

    name: str
    kind: SemanticClass
    times: np.ndarray
    poses: np.ndarray
    size: tuple[float, float]


@dataclass(frozen=True, eq=False)
class MapLane:
    """A lane. centre, left, right: (N, 2) [m] in driving direction, None if not recorded; one of them or `polygon` is.

    polygon: (N, 2) outline. following: names of the lanes that it leads into. beside: of lanes beside it in its
    direction. junction: whether it crosses one.
    """

    name: str
    centre: np.ndarray | None = None
    left: np.ndarray | None = None
    right: np.ndarray | None = None
    polygon: np.ndarray | None = None
    following: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    junction: bool = False


@dataclass(frozen=True, eq=False)
class RecordedMap:
    """The map. lines: markings. edges: (N, 2) where the road ends. areas: (N, 2) outlines of road without direction."""

    lanes: tuple[MapLane, ...]
    lines: tuple[Line, ...] = ()
    edges: tuple[np.ndarray, ...] = ()
    areas: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True, eq=False)
class Light:
    """What a traffic light says to one lane. stop: (2,) [m]. times (N,) [s]; closed (N,) bool: red or yellow."""

    lane: str
    stop: np.ndarray
    times: np.ndarray
    closed: np.ndarray


@dataclass(frozen=True, eq=False)
class Camera:
    """Pictures of one camera at `times` (N,) [s], ascending.

    pictures: that many. matrix: (3, 3) intrinsic of pictures as they are read, or None. distortion: (5,) k1, k2, p1,
    p2, k3 of OpenCV, or None without any. size: height and width of pictures, None to look at the first.
    position: (3,) [m] ahead, left and above of the rear axle on the ground. rotation: (3, 3), rows are the camera's
    right, down and forward in the frame of the car; None where unknown.
    """

    name: str
    times: np.ndarray
    pictures: Pictures
    matrix: np.ndarray | None = None
    position: np.ndarray | None = None
    rotation: np.ndarray | None = None
    distortion: np.ndarray | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Recording:
    """One drive.

    Attributes:
        name: of the drive, unlike those of others in its file.
        format: that it was recorded in.
        file: that it was read from.
        log: drives of one log belong into the same split.
        ego: where the car was. vehicle: what it is like.
        signals: what was measured on it, by name in `SIGNALS`.
        tracks: the others, or None where none were recorded (rather than none were there).
        road: the map, or None. lights: what lights said. route: (N, 2) [m] that it was told to follow, or None.
        cameras: pictures.
        sources: by what of the above, where it is from, if not plainly measured.
        notes: what a reader should know, in sentences.

    Raises:
        RecordingError: for numbers that cannot be, on construction.
    """

    name: str
    format: str
    file: Path
    log: str
    ego: EgoPath
    vehicle: Vehicle = USUAL_CAR
    signals: Mapping[str, Signal] = field(default_factory=dict)
    tracks: tuple[Track, ...] | None = None
    road: RecordedMap | None = None
    lights: tuple[Light, ...] = ()
    route: np.ndarray | None = None
    cameras: tuple[Camera, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_times(self.ego.times, "ego")
        check_numbers(self.ego.places, "ego's places")
        if self.ego.headings is not None:
            check_numbers(self.ego.headings, "ego's headings")
            if np.abs(self.ego.headings).max() > 20 * np.pi:
                raise RecordingError(
                    f"the ego's headings reach {np.abs(self.ego.headings).max():.0f} rad: are they degrees?"
                )
        for name, signal in self.signals.items():
            if name not in SIGNALS:
                raise RecordingError(f"unknown signal {name!r}; known: {', '.join(SIGNALS)}")
            check_times(signal.times, name)
            check_numbers(signal.values, name)
        v = self.vehicle
        if not (0.5 < v.length < 30 and 0.3 < v.width < 5 and 0.2 < v.wheelbase < v.length):
            raise RecordingError(
                f"a car {v.length:g} m long, {v.width:g} m wide, wheelbase {v.wheelbase:g} m cannot be"
            )

    @property
    def seconds(self) -> float:
        """From the first moment to the last."""
        return float(self.ego.times[-1] - self.ego.times[0])


def check_times(times: np.ndarray, what: str) -> None:
    """`RecordingError` unless `times` are at least two, finite and ascending."""
    if len(times) < 2:
        raise RecordingError(f"{what} has {len(times)} moments: at least 2 are needed")
    check_numbers(times, f"times of {what}")
    steps = np.diff(times)
    if (steps <= 0).all():
        raise RecordingError(f"times of {what} run backwards, from {times[0]:.3f} to {times[-1]:.3f} s")
    if (steps <= 0).any():
        i = int(np.argmax(steps <= 0))
        raise RecordingError(f"times of {what} go back from {times[i]:.3f} to {times[i + 1]:.3f} s at number {i + 1}")
    if steps.mean() > 60 or times[-1] - times[0] < 1e-4 * len(times):
        raise RecordingError(
            f"times of {what} have steps of {steps.mean():g} s on average: are they seconds? "
            "(microseconds and nanoseconds have to be converted)"
        )


def check_numbers(values: np.ndarray, what: str) -> None:
    """`RecordingError` unless all `values` are finite; it names the first that is not."""
    bad = ~np.isfinite(np.asarray(values, np.float64))
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise RecordingError(f"{what} has {int(bad.sum())} numbers that are not finite, the first at {at[0]}")


def in_order(times: np.ndarray, *columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """Times (N,) and what belongs to them (N, ...), sorted, without moments less than a millisecond after another."""
    order = np.argsort(times, kind="stable")
    new = np.diff(times[order], prepend=-np.inf) > 1e-3
    return tuple(column[order][new] for column in (times, *columns))
