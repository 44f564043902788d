"""Traffic lights and signs of a map: one for each OpenDRIVE signal, whatever the number of its references."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

# OpenDRIVE's types of signals that become actors, as CARLA knows them: lights, and the actor types of signs.
LIGHT_TYPES = frozenset({"1000001", "1000002", *(str(n) for n in range(1000007, 1000021)), "F", "W", "A"})
SIGN_TYPES = {"205": "traffic.yield", "206": "traffic.stop"}
LIGHT, SPEED_LIMIT_TYPE, SPEED_LIMIT = "traffic.traffic_light", "274", "traffic.speed_limit."
# [m] before the place where a signal holds within which a vehicle is at it, and between the steps that look for lanes.
REACH, STEP = 12.0, 0.5
# [m] from that place back to the middle of the trigger volume, how far back a place outside the junction is looked
# for, half of its length and height, and how much of the lane's width it takes.
BACK, BACK_MOST, HALF_LENGTH, HALF_HEIGHT, SHARE = 3.0, 40.0, 1.5, 1.0, 0.9


@dataclass(frozen=True)
class Approach:
    """A lane that leads to where a signal holds: from `s` of it, there are `ahead` metres to go."""

    road: int
    lane: int
    s: float
    ahead: float

    def left(self, s: float) -> float:
        """Metres to go from another place of the lane, below 0 behind."""
        return self.ahead + (self.s - s) * (1.0 if self.lane < 0 else -1.0)


@dataclass(frozen=True)
class Signal:
    """type: of the actor. transform: x, y, z, pitch, yaw, roll, its x axis across the lanes, as CARLA's.

    approaches: the lanes that it holds for, which come first, and those that lead to them.
    volume: centre and extent of its trigger volume in its own frame [m]; None if it holds for no lane to drive on.
    """

    id: str
    type: str
    transform: tuple[float, ...]
    approaches: tuple[Approach, ...]
    volume: tuple[list[float], list[float]] | None


def read_signals(carla_map: Any) -> list[Signal]:
    """The lights and signs of a `carla.Map` that hold somewhere, in a fixed order."""
    marks = defaultdict(list)
    for mark in carla_map.get_all_landmarks():
        marks[mark.id].append(mark)
    signals = [_signal(carla_map, kind, same) for same in marks.values() if (kind := _kind(same[0]))]
    return sorted(signals, key=lambda signal: (len(signal.id), signal.id))


def _kind(mark: Any) -> str:
    """Type of the actor that a landmark is; "" if it is none."""
    if mark.type in LIGHT_TYPES:
        return LIGHT
    if mark.type == SPEED_LIMIT_TYPE:
        value = f"{mark.value:g}" if mark.value > 0 else mark.sub_type
        return SPEED_LIMIT + value if value.isdigit() else ""
    return SIGN_TYPES.get(mark.type, "")


def _signal(carla_map: Any, kind: str, marks: list[Any]) -> Signal:
    place = marks[0].transform
    x, y, z = place.location.x, place.location.y, place.location.z
    # CARLA turns the models of lights and signs by 90 degrees and stands them upright.
    yaw = (place.rotation.yaw + 90.0 + 180.0) % 360.0 - 180.0
    places = [w for mark in marks for w in _places(carla_map, mark)]
    approaches = tuple(dict.fromkeys(a for w in places for a in _approaches(w)))
    corners = np.array([corner for w in places for corner in _trigger(w)])
    volume = None
    if len(corners):
        c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
        own = (corners - (x, y, z)) @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        low, high = own.min(0), own.max(0)
        volume = ((low + high) / 2).tolist(), ((high - low) / 2).tolist()
    return Signal(marks[0].id, kind, (x, y, z, 0.0, yaw, 0.0), approaches, volume)


def _places(carla_map: Any, mark: Any) -> list[Any]:
    """Waypoints on the lanes to drive on for which a signal, or a reference to it, holds."""
    lanes = {n for a, b in mark.get_lane_validities() for n in range(min(a, b), max(a, b) + 1) if n}
    found = [carla_map.get_waypoint_xodr(mark.road_id, lane, mark.s) for lane in sorted(lanes)]
    return [w for w in found if w is not None and w.lane_type.name == "Driving"]


def _approaches(place: Any) -> list[Approach]:
    found = {(place.road_id, place.lane_id): Approach(place.road_id, place.lane_id, place.s, 0.0)}
    for ahead in np.arange(STEP, REACH + STEP, STEP).tolist():
        for w in _before(place, ahead):
            found.setdefault((w.road_id, w.lane_id), Approach(w.road_id, w.lane_id, w.s, ahead))
    return list(found.values())


def _before(place: Any, distance: float) -> list[Any]:
    try:
        return place.previous(distance)
    except RuntimeError:  # CARLA's own complaint of a place exactly at the end of a lane
        return []


def _trigger(place: Any) -> np.ndarray:
    """Corners (8, 3) of the trigger volume on one lane: a little before the place, and before the junction."""
    spot = place
    for distance in np.arange(BACK, BACK_MOST, STEP).tolist():
        before = _before(place, distance)
        if not before:
            break
        spot = before[0]
        if not spot.is_junction:
            break
    t, half = spot.transform, SHARE * spot.lane_width / 2
    along, across = t.get_forward_vector(), t.get_right_vector()
    return np.array(
        [
            (
                t.location.x + i * HALF_LENGTH * along.x + j * half * across.x,
                t.location.y + i * HALF_LENGTH * along.y + j * half * across.y,
                t.location.z + HALF_HEIGHT + k * HALF_HEIGHT,
            )
            for i in (-1, 1)
            for j in (-1, 1)
            for k in (-1, 1)
        ]
    )
