"""nuScenes' map expansion: lanes with outlines and arcs as centre lines, and what divides them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.recordings.formats.shared.json_files import load_json
from learned_sim_env.recordings.recording import MapLane, RecordedMap
from learned_sim_env.scene import Line

# [m] between points of centre lines.
SPACING = 1.0
CURVING = {"L": 1.0, "S": 0.0, "R": -1.0}


def read_map(root: Path, location: str) -> tuple[RecordedMap | None, str]:
    """The map of a location, or None and a sentence that says what is missing."""
    name = f"maps/expansion/{location}.json"
    if location and Path(location).name == location:
        for folder in (root, root.parent):
            if (folder / name).is_file():
                return _read(folder / name), ""
    return None, f"there is no map: {name} of the map expansion is missing"


@lru_cache(maxsize=1)
def _read(path: Path) -> RecordedMap:
    content = load_json(path)
    nodes = {node["token"]: (node["x"], node["y"]) for node in content["node"]}
    polygons = {p["token"]: _points(p["exterior_node_tokens"], nodes) for p in content["polygon"]}
    strings = {line["token"]: _points(line["node_tokens"], nodes) for line in content["line"]}
    arcs, connected = content.get("arcline_path_3", {}), content.get("connectivity", {})
    lanes = [
        MapLane(
            lane["token"],
            centre=centre_of(arcs[lane["token"]]),
            polygon=polygons.get(lane.get("polygon_token")),
            following=tuple(connected.get(lane["token"], {}).get("outgoing", ())),
            junction=kind == "lane_connector",
        )
        for kind in ("lane", "lane_connector")
        for lane in content.get(kind, ())
        if arcs.get(lane["token"])
    ]
    areas = [polygons[p] for area in content.get("drivable_area", ()) for p in area["polygon_tokens"] if p in polygons]
    markings = []
    for kind in ("lane_divider", "road_divider"):
        for divider in content.get(kind, ()):
            points = strings.get(divider.get("line_token"), np.zeros((0, 2)))
            if len(points) > 1:
                types = {str(s.get("segment_type", "")) for s in divider.get("lane_divider_segments", ())}
                markings.append(Line(points, broken=any("DASHED" in t for t in types)))
    return RecordedMap(tuple(lanes), tuple(markings), (), tuple(areas))


def _points(tokens: Any, nodes: Mapping[str, tuple[float, float]]) -> np.ndarray:
    return np.array([nodes[t] for t in tokens], np.float64).reshape(-1, 2)


def centre_of(arcs: Any) -> np.ndarray:
    """(N, 2) points of paths of three arcs each: from a pose, left, straight or right with one radius (Dubins)."""
    points = []
    for path in arcs:
        x, y, heading = (float(v) for v in path["start_pose"])
        for letter, length in zip(path["shape"], path["segment_length"]):
            curvature = CURVING[letter] / path["radius"]
            steps = max(1, int(np.ceil(length / SPACING)))
            for _ in range(steps):
                points.append((x, y))
                way = length / steps
                middle = heading + curvature * way / 2
                x, y, heading = x + way * np.cos(middle), y + way * np.sin(middle), heading + curvature * way
        points.append((x, y))
    return np.array(points)
