"""What kind of scene a recorded moment is, read off its recording: vehicles ahead, cutting in, or oncoming."""

from __future__ import annotations

import numpy as np

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.road import STATION
from learned_sim_env.scene import to_frame, wrap_angle
from learned_sim_env.spec import SCENARIO_TAGS, SemanticClass

# Kinds of scenes; a moment may be of several.
LABELS = (
    "free_road",
    "car_following",
    "cut_in",
    "merge",
    "roundabout",
    "intersection",
    "unprotected_turn",
    "stopped_vehicle",
    "cones",
    "curve",
    "curve_too_fast",
    "dense_traffic",
    "end_of_route",
)
# [steps] In which a vehicle has to come into the ego's lane, and the ego has to keep its own.
CUT_IN = 30
# [m] Half a lane: a road user nearer than this to the ego's line is in its way. [m/s] A slower one stands.
IN_LANE, STANDING = 1.6, 0.5
# [m/s^2] Across: with the tyres of a car on a dry road, more is uncomfortable and soon unsafe.
TOO_FAST = 4.0


def labels_of(data: PackedData, episode: int, moment: int) -> tuple[str, ...]:
    """Those of `LABELS` that describe a moment of an episode, judged by it and the three seconds recorded after it.

    Args:
        data: recorded episodes.
        episode: index of the episode.
        moment: row within it.
    """
    a, row = data.arrays, int(data.starts[episode]) + moment
    last = int(data.starts[episode] + data.lengths[episode]) - 1
    speed = float(a["ego"][row, 0])
    tags = {name for name, has in zip(SCENARIO_TAGS, a["tags"][row]) if has}
    found: set[str] = {name for name in ("merge", "roundabout", "intersection", "curve") if name in tags}
    places, speeds, classes = _around(data, row)
    vehicle = classes == SemanticClass.VEHICLE
    ahead = (places[:, 0] > 3.0) & (np.abs(places[:, 1]) < IN_LANE)
    if (vehicle & ahead & (places[:, 0] < 30.0) & (speeds > 2.0)).any():
        found.add("car_following")
    if (vehicle & ahead & (places[:, 0] < 40.0) & (speeds < STANDING)).any() and speed > 2.0:
        found.add("stopped_vehicle")
    cones = classes == SemanticClass.STATIC_OBJECT
    if (cones & (places[:, 0] > 3.0) & (places[:, 0] < 30.0) & (np.abs(places[:, 1]) < 4.0)).any():
        found.add("cones")
    if _cut_in(data, row, last):
        found.add("cut_in")
    if (vehicle & (np.hypot(*places.T) < 30.0)).sum() >= 6:
        found.add("dense_traffic")
    headings = np.concatenate([[_route_heading(a, row)], a["route_headings"][row].astype(np.float64)])
    turn = np.abs(np.cumsum(wrap_angle(np.diff(headings))))[:8].max()
    if "intersection" in tags and turn > 0.6 and (vehicle & (np.hypot(*places.T) < 35.0)).any():
        found.add("unprotected_turn")
    bend = np.abs(wrap_angle(np.diff(a["route_headings"][row].astype(np.float64))))[:6].max() / STATION
    if speed**2 * bend > TOO_FAST and speed > 7.0:
        found.add("curve_too_fast")
    if 8.0 < a["route_left"][row] < 50.0:
        found.add("end_of_route")
    if not found and not (vehicle & (np.hypot(*places.T) < 30.0)).any():
        found.add("free_road")
    return tuple(name for name in LABELS if name in found)


def _around(data: PackedData, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places (N, 2) in the ego frame [m], speeds (N,) [m/s] and classes (N,) of the road users there."""
    a = data.arrays
    there = a["agent_classes"][row] > 0
    places = to_frame(a["agent_poses"][row, there, :2].astype(np.float64), a["ego_pose"][row])
    return places, np.hypot(*a["agent_velocities"][row, there].T), a["agent_classes"][row, there]


def _route_heading(a: dict[str, np.ndarray], row: int) -> float:
    return float(a["ego_pose"][row, 2] - a["ego"][row, 5])


def _cut_in(data: PackedData, row: int, last: int) -> bool:
    """Whether a vehicle that drives beside the ego's lane is in it, ahead and near, before three seconds are over."""
    a, end = data.arrays, min(row + CUT_IN, last)
    lane = a["ego"][row : end + 1, 4]
    # Otherwise it may be the ego that changes lanes, or the road may bend.
    if np.ptp(lane) > 0.8 or abs(wrap_angle(a["ego_pose"][end, 2] - a["ego_pose"][row, 2])) > 0.25:
        return False
    places, speeds, classes = _around(data, row)
    ids = a["agent_ids"][row, a["agent_classes"][row] > 0]
    beside = (classes == SemanticClass.VEHICLE) & (speeds > 2.0) & (np.abs(np.abs(places[:, 1]) - 3.6) < 1.4)
    for agent in ids[beside & (places[:, 0] > -8.0) & (places[:, 0] < 30.0)]:
        for later in range(row + 1, end + 1):
            slot = np.flatnonzero(a["agent_ids"][later] == agent)
            if len(slot):
                place = to_frame(a["agent_poses"][later, slot[0], :2].astype(np.float64), a["ego_pose"][later])
                if abs(place[1]) < 1.2 and 2.0 < place[0] < 25.0:
                    return True
    return False


def expected_of(labels: tuple[str, ...]) -> str:
    """What a good driver makes of such a scene, one of `suite.EXPECTED`."""
    if "end_of_route" in labels:
        return "arrive"
    waiting = {"car_following", "stopped_vehicle", "cones", "cut_in", "unprotected_turn", "dense_traffic", "merge"}
    return "safe" if waiting & set(labels) else "drive"
