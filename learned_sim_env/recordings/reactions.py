"""Others of a recording that brake for an ego that is not where it was: along the paths that they were recorded on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env.recordings import lines
from learned_sim_env.recordings.drives import Drive
from learned_sim_env.recordings.others import Moved
from learned_sim_env.scene import Ego
from learned_sim_env.spec import SemanticClass

# Of the Intelligent Driver Model (Treiber, Hennecke, Helbing 2000, table I): [m/s^2, m/s^2, s, m].
ACCELERATION, DECELERATION, HEADWAY, GAP = 1.5, 2.0, 1.2, 2.0
HARDEST = 8.0  # [m/s^2]
# [m] Whoever is this near to a path stands in it; how far ahead a driver looks; half of the width of a car.
IN_THE_WAY, AHEAD, ROUND = 1.8, 50.0, 0.9
# [m/s^2] More braking than this, beyond what was recorded, is a reaction.
REACTION = 0.7
# [m] of paths after the end of what was recorded, and how much of that is looked along.
BEYOND, PAST = 60.0, 5.0


@dataclass(eq=False)
class _Driver:
    """Someone who no longer keeps to the recorded times. s [m] along `path`, speed [m/s]; pace (N,) recorded there."""

    path: np.ndarray
    stations: np.ndarray
    pace: np.ndarray
    s: float
    speed: float


class Reactions:
    """What becomes of the others of a drive around another ego.

    Drivers, and those on foot, keep to their recording until, by the Intelligent Driver Model, the ego makes them
    brake; then they follow their recorded path by that model, behind whoever is on it, at most as fast as they were
    recorded there.

    Attributes:
        drivers: by row in `drive.others`, those that no longer keep to it.
    """

    def __init__(self, drive: Drive):
        self._drive = drive
        self.drivers: dict[int, _Driver] = {}

    def moved(self) -> Moved:
        """Where those are who no longer keep to the recording."""
        rows = sorted(self.drivers)
        poses, velocities = np.zeros((len(rows), 3)), np.zeros((len(rows), 2))
        for k, row in enumerate(rows):
            driver = self.drivers[row]
            poses[k] = _pose(driver.path, driver.s)
            velocities[k] = driver.speed * np.array([np.cos(poses[k, 2]), np.sin(poses[k, 2])])
        return Moved(np.array(rows, np.int64), poses, velocities)

    def step(self, t: int, ego: Ego) -> None:
        """From moment `t` on, with the ego there, one step."""
        others = self._drive.others
        if others is None:
            return
        for row in self.disturbed(t, ego):
            self.drivers[int(row)] = self._driver(int(row), t)
        for row, driver in self.drivers.items():
            acceleration = self._acceleration(row, driver, t, ego)
            after = max(driver.speed + acceleration * self._drive.dt, 0.0)
            driver.s += (driver.speed + after) / 2 * self._drive.dt
            driver.speed = after

    def disturbed(self, t: int, ego: Ego) -> np.ndarray:
        """(M,) rows of those at moment `t` who would brake for the ego, and did not brake like that when recorded."""
        others, drive = self._drive.others, self._drive
        if others is None or t >= len(drive):
            return np.zeros(0, np.int64)
        own = drive.ego(t)
        if np.hypot(*(own.pose[:2] - ego.pose[:2])) < 0.5 and abs(own.speed - ego.speed) < 0.5:
            return np.zeros(0, np.int64)
        moving = others.present[:, t] & others.present[:, t + 1] & (others.kinds != SemanticClass.STATIC_OBJECT)
        speeds = np.hypot(*others.velocities[:, t].T)
        moving &= speeds > 0.5
        near = np.hypot(*(others.poses[:, t, :2] - ego.pose[:2]).T) < AHEAD
        found = []
        for row in np.flatnonzero(moving & near):
            if int(row) in self.drivers:
                continue
            driver = self._driver(int(row), t)
            length = float(others.sizes[row, 0])
            now, then = (
                _braking(driver, _gap(driver, e.pose, length, e.length), _along(driver, e)) for e in (ego, own)
            )
            after = float(np.hypot(*others.velocities[row, t + 1]))
            recorded = (after - float(speeds[row])) / drive.dt
            if now < min(recorded, then) - REACTION:
                found.append(row)
        return np.array(found, np.int64)

    def _driver(self, row: int, t: int) -> _Driver:
        others = self._drive.others
        assert others is not None
        later = t + np.flatnonzero(others.present[row, t:])
        places = others.poses[row, later]
        speeds = np.hypot(*others.velocities[row, later].T)
        # A point wherever it has moved on; straight on in the end.
        kept = [0]
        for i in range(1, len(places)):
            if np.hypot(*(places[i, :2] - places[kept[-1], :2])) > 0.3:
                kept.append(i)
        heading = places[kept[-1], 2]
        end = places[kept[-1], :2] + BEYOND * np.array([np.cos(heading), np.sin(heading)])
        path = np.concatenate([places[kept, :2], end[None]])
        pace = np.append(speeds[kept], speeds[-1])
        return _Driver(path, lines.lengths(path), np.maximum(pace, 0.5), 0.0, float(speeds[0]))

    def _acceleration(self, row: int, driver: _Driver, t: int, ego: Ego) -> float:
        others = self._drive.others
        assert others is not None
        length = float(others.sizes[row, 0])
        worst = _braking(driver, _gap(driver, ego.pose, length, ego.length), _along(driver, ego))
        here = _pose(driver.path, driver.s)
        near = others.present[:, t] & (np.hypot(*(others.poses[:, t, :2] - here[:2]).T) < AHEAD)
        for other in np.flatnonzero(near):
            if other == row:
                continue
            pose, velocity = others.poses[other, t], others.velocities[other, t]
            if int(other) in self.drivers:
                pose = _pose(self.drivers[int(other)].path, self.drivers[int(other)].s)
                velocity = self.drivers[int(other)].speed * np.array([np.cos(pose[2]), np.sin(pose[2])])
            towards = np.array([np.cos(here[2]), np.sin(here[2])])
            gap = _gap(driver, pose, length, float(others.sizes[other, 0]))
            worst = min(worst, _braking(driver, gap, float(velocity @ towards)))
        return worst


def _pose(path: np.ndarray, s: float) -> np.ndarray:
    """(3,) pose at `s` metres along a path."""
    stations = lines.lengths(path)
    i = int(np.clip(np.searchsorted(stations, s, side="right") - 1, 0, len(path) - 2))
    towards = (path[i + 1] - path[i]) / max(stations[i + 1] - stations[i], 1e-9)
    place = path[i] + (s - stations[i]) * towards
    return np.array([*place, np.arctan2(towards[1], towards[0])])


def _gap(driver: _Driver, pose: np.ndarray, length: float, other: float) -> float:
    """[m] between a driver's bumper and something `other` long at a pose; infinite if that is not ahead on its path.

    What is looked at are its ends and its middle: it may stand across.
    """
    ends = max(other / 2 - ROUND, 0.0) * np.array([[-1.0], [0.0], [1.0]])
    points = pose[:2] + ends * np.array([np.cos(pose[2]), np.sin(pose[2])])
    s, away, _ = lines.nearest(driver.path, points)
    ahead = s - driver.s
    # Past its end the path is a guess.
    there = (away < IN_THE_WAY) & (ahead > 0.5) & (ahead < AHEAD) & (s < driver.stations[-2] + PAST)
    return max(float(ahead[there].min()) - length / 2 - ROUND, 0.1) if there.any() else np.inf


def _along(driver: _Driver, ego: Ego) -> float:
    """Speed of the ego in the driver's direction [m/s]."""
    heading = _pose(driver.path, driver.s)[2]
    return float(ego.velocity[0] * np.cos(heading) + ego.velocity[1] * np.sin(heading))


def _braking(driver: _Driver, gap: float, leader: float) -> float:
    """Acceleration [m/s^2] by the Intelligent Driver Model."""
    desired = float(np.interp(driver.s, driver.stations, driver.pace))
    wanted = GAP + max(
        0.0,
        driver.speed * HEADWAY + driver.speed * (driver.speed - leader) / (2 * np.sqrt(ACCELERATION * DECELERATION)),
    )
    free = 1 - (driver.speed / desired) ** 4
    return float(max(ACCELERATION * (free - (wanted / gap) ** 2), -HARDEST))
