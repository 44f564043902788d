"""A drive whose truth is known: a road that bends left and then right, a car on it, and others around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# [m] Of the driven car: length, width, wheelbase, and how far its middle is ahead of the rear axle.
LENGTH, WIDTH, WHEELBASE, REAR = 4.8, 1.9, 2.8, 1.4
DT, LANE = 0.1, 3.5
# [m] The driver in front is this far ahead along the road.
LEAD = 18.0


@dataclass(frozen=True)
class Mover:
    """name, kind as Waymo calls it, poses (T, 3) of the middle, length and width [m]."""

    name: str
    kind: str
    poses: np.ndarray
    size: tuple[float, float]


@dataclass(frozen=True)
class World:
    """times (T,) [s]. rear, middle: (T, 3) poses of the ego's rear axle and of its box's middle. speeds (T,) [m/s].

    curvature: (T,) [1/m], left positive. road: (M, 2) centre of its lane, a point a metre; the lane beside it is to its
    left, and the one beyond that leads back.
    """

    times: np.ndarray
    rear: np.ndarray
    middle: np.ndarray
    speeds: np.ndarray
    curvature: np.ndarray
    road: np.ndarray
    movers: tuple[Mover, ...]

    def lane(self, number: int) -> np.ndarray:
        """(M, 2) centre line of lane 0 (the ego's), 1 (beside it) or 2 (which leads back)."""
        line = aside(self.road, LANE * number)
        return line[::-1] if number == 2 else line

    def border(self, number: int) -> np.ndarray:
        """(M, 2) line between lanes, 0 the rightmost, in the road's direction."""
        return aside(self.road, LANE * (number - 0.5))


def aside(line: np.ndarray, offset: float) -> np.ndarray:
    """A line (M, 2) moved to its left [m]."""
    angle = np.arctan2(*np.gradient(line, axis=0).T[::-1])
    return line + offset * np.stack([-np.sin(angle), np.cos(angle)], -1)


def bend(s: np.ndarray) -> np.ndarray:
    """Curvature [1/m] at `s` metres along the road: first left, then right."""
    return np.where((s > 10) & (s < 70), 0.03 * np.sin((s - 10) / 60 * 2 * np.pi), 0.0)


def make_world(seconds: float = 8.0, start: tuple[float, float] = (300.0, -120.0)) -> World:
    """The world; the ego speeds up from 7 to 10 m/s on the middle of its lane."""
    fine = 0.05
    s = np.arange(-60.0, 260.0, fine)
    heading = 0.6 + np.cumsum(bend(s)) * fine
    line = np.stack([np.cumsum(np.cos(heading)), np.cumsum(np.sin(heading))], -1) * fine
    line += np.array(start) - line[int(60 / fine)]

    def at(where: np.ndarray) -> np.ndarray:
        return np.stack([*(np.interp(where, s, line[:, k]) for k in (0, 1)), np.interp(where, s, heading)], -1)

    times = DT * np.arange(round(seconds / DT) + 1)
    speeds = 7.0 + 3.0 * times / seconds
    way = np.concatenate([[0.0], np.cumsum((speeds[1:] + speeds[:-1]) / 2 * DT)])
    rear = at(way)
    middle = rear.copy()
    middle[:, :2] += REAR * np.stack([np.cos(rear[:, 2]), np.sin(rear[:, 2])], -1)
    back = at(120.0 - 9.0 * times)
    back[:, :2] += 2 * LANE * np.stack([-np.sin(back[:, 2]), np.cos(back[:, 2])], -1)
    back[:, 2] += np.pi
    by = at(np.full(len(times), 30.0))
    right = np.stack([np.sin(by[:, 2]), -np.cos(by[:, 2])], -1)
    cone, walker = by.copy(), by.copy()
    cone[:, :2] += 4.0 * right
    walker[:, :2] += 6.0 * right + 1.0 * times[:, None] * np.stack([np.cos(by[:, 2]), np.sin(by[:, 2])], -1)
    movers = (
        Mover("lead", "VEHICLE", at(way + LEAD), (4.5, 1.8)),
        Mover("back", "VEHICLE", back, (4.5, 1.8)),
        Mover("cone", "TRAFFIC_CONE", cone, (0.5, 0.5)),
        Mover("walker", "PEDESTRIAN", walker, (0.7, 0.7)),
    )
    return World(times, rear, middle, speeds, bend(way), line[:: int(1 / fine)], movers)
