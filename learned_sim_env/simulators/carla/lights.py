"""Traffic lights as stop lines that are closed while the light is not green."""

from __future__ import annotations

from typing import Any

import numpy as np

from learned_sim_env.scene import Ego, Line
from learned_sim_env.simulators.carla import frames


class StopLines:
    """The stop lines of all traffic lights of a world."""

    def __init__(self, world: Any):
        lights = sorted(world.get_actors().filter("traffic.traffic_light"), key=lambda light: light.id)
        self._lines = [(light, line) for light in lights for line in _lines(light)]

    def closed(self, *states: str) -> tuple[Line, ...]:
        """Those whose light is in one of `states` now, as CARLA calls them: "Red", "Yellow"."""
        return tuple(line for light, line in self._lines if light.state.name in states)


def _lines(light: Any) -> list[Line]:
    """One across each lane that the light holds for."""
    lines = []
    for waypoint in light.get_affected_lane_waypoints():
        # References of a map may name lanes that are not there, or pavements.
        if waypoint is None or waypoint.lane_type.name != "Driving":
            continue
        middle = np.array(frames.point(waypoint.transform.location))
        heading = frames.heading(waypoint.transform.rotation)
        half = waypoint.lane_width / 2 * np.array([-np.sin(heading), np.cos(heading)])
        lines.append(Line(np.array([middle + half, middle - half])))
    return lines


def crossed(lines: tuple[Line, ...], before: Ego, after: Ego) -> bool:
    """Whether the ego's front went over one of `lines` in the direction in which it holds: from its left end's right.

    A line's points run from the left to the right of the lane's direction.
    """
    a, b = (_front(ego) for ego in (before, after))
    return any(_crosses(line.points, a, b) for line in lines)


def _front(ego: Ego) -> np.ndarray:
    return ego.pose[:2] + ego.length / 2 * np.array([np.cos(ego.heading), np.sin(ego.heading)])


def _crosses(line: np.ndarray, a: np.ndarray, b: np.ndarray) -> bool:
    along, way = line[1] - line[0], b - a
    # Behind the line and then ahead of it, seen along the lane.
    behind, ahead = (along[0] * (p - line[0])[1] - along[1] * (p - line[0])[0] for p in (a, b))
    if not behind <= 0.0 < ahead:
        return False
    place = a + way * (behind / (behind - ahead))
    return bool(0.0 <= ((place - line[0]) @ along) <= along @ along)
