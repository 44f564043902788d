"""Argoverse 2's vector maps: lanes with borders, areas to drive on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.recordings import lines
from learned_sim_env.recordings.formats.shared.json_files import load_json
from learned_sim_env.recordings.recording import MapLane, RecordedMap, RecordingError
from learned_sim_env.scene import Line


def map_file_in(folder: Path) -> Path | str:
    """The map in a folder, or a sentence that says that there is none."""
    found = sorted([*folder.glob("log_map_archive_*.json"), *folder.glob("map/log_map_archive_*.json")])
    return found[0] if found else f"there is no map (log_map_archive_*.json) in {folder.name}"


def read_map(path: Path) -> RecordedMap:
    """Lanes, markings and drivable areas of a map file; bicycle lanes are left out."""
    content = load_json(path)
    if "lane_segments" not in content:
        raise RecordingError(f"{path.name} has no 'lane_segments'")
    segments = {str(lane["id"]): lane for lane in content["lane_segments"].values() if lane.get("lane_type") != "BIKE"}
    lanes = [_lane(lane, segments) for lane in segments.values()]
    areas = [_points(area["area_boundary"]) for area in content.get("drivable_areas", {}).values()]
    return RecordedMap(tuple(lanes), tuple(_markings(content["lane_segments"].values())), (), tuple(areas))


def _points(points: Any) -> np.ndarray:
    return np.array([(p["x"], p["y"]) for p in points], np.float64).reshape(-1, 2)


def _lane(lane: Mapping[str, Any], segments: Mapping[str, Mapping[str, Any]]) -> MapLane:
    left, right = _points(lane["left_lane_boundary"]), _points(lane["right_lane_boundary"])
    beside = []
    for side in ("left_neighbor_id", "right_neighbor_id"):
        other = segments.get(str(lane.get(side)))
        # A neighbour may be oncoming.
        if other is not None and _along(other) @ _along(lane) > 0:
            beside.append(str(other["id"]))
    return MapLane(
        str(lane["id"]),
        centre=_points(lane["centerline"]) if lane.get("centerline") else None,
        left=left,
        right=right,
        following=tuple(map(str, lane.get("successors", ()))),
        beside=tuple(beside),
        junction=bool(lane.get("is_intersection", False)),
    )


def _along(lane: Mapping[str, Any]) -> np.ndarray:
    left = _points(lane["left_lane_boundary"])
    return left[-1] - left[0]


def _markings(segments: Any) -> list[Line]:
    """Markings of the lanes' borders, each once: two lanes share one."""
    found: dict[tuple, Line] = {}
    for lane in segments:
        for side in ("left", "right"):
            kind = str(lane.get(f"{side}_lane_mark_type", "NONE"))
            points = lines.clean(_points(lane[f"{side}_lane_boundary"]))
            if kind in ("NONE", "UNKNOWN") or len(points) < 2:
                continue
            ends = sorted(tuple(np.round(p, 1)) for p in (points[0], points[-1]))
            found.setdefault((*ends[0], *ends[1]), Line(points, broken="DASH" in kind and "SOLID" not in kind))
    return list(found.values())
