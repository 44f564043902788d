"""Lanelet2 maps as Autoware writes them: OSM files whose nodes have `local_x` and `local_y` [m]."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from learned_sim_env.recordings import lines
from learned_sim_env.recordings.formats.shared.features import linked
from learned_sim_env.recordings.formats.shared.xml_files import load_xml
from learned_sim_env.recordings.recording import MapLane, RecordedMap, RecordingError
from learned_sim_env.scene import Line

# Subtypes of lanelets that cars drive on, and types of lines that are painted, and that are edges.
ROADS = ("road", "highway", "road_shoulder", "bus_lane")
PAINTED, EDGES = ("line_thin", "line_thick"), ("road_border", "curbstone", "guard_rail", "fence", "wall")


def map_in(folder: Path) -> Path | None:
    """The map in a folder, or in the folder "map" in it; None if there is none, or more than one."""
    found = [*folder.glob("*.osm"), *folder.glob("map/*.osm")]
    return found[0] if len(found) == 1 else None


def read_map(path: Path) -> tuple[RecordedMap | None, str]:
    """The map of a file; or None, and a sentence that says why.

    Raises:
        RecordingError: for a file that is damaged.
    """
    root = load_xml(path)
    nodes, ways = {}, {}
    for node in root.iter("node"):
        tags = _tags(node)
        if {"local_x", "local_y"} <= set(tags):
            nodes[node.get("id")] = (float(tags["local_x"]), float(tags["local_y"]))
    if not nodes:
        return None, f"the nodes of {path.name} have no local_x and local_y: the map is not read"
    for way in root.iter("way"):
        known = [nodes[nd.get("ref")] for nd in way.iter("nd") if nd.get("ref") in nodes]
        if len(known) > 1:
            ways[way.get("id", "")] = (lines.clean(np.array(known, np.float64)), _tags(way))
    lanes, borders = [], {}
    for relation in root.iter("relation"):
        tags = _tags(relation)
        if tags.get("type") != "lanelet" or tags.get("subtype", "road") not in ROADS:
            continue
        sides = {m.get("role"): m.get("ref", "") for m in relation.iter("member")}
        left, right = sides.get("left", ""), sides.get("right", "")
        if left not in ways or right not in ways:
            raise RecordingError(f"{path.name}: lanelet {relation.get('id')} has no left or no right border")
        name = relation.get("id", "?")
        lanes.append(_lane(name, ways[left][0], ways[right][0], "turn_direction" in tags))
        borders[name] = left, right
    if not lanes:
        return None, f"{path.name} has no lanelets: the map is not read"
    rightmost = {right: name for name, (_, right) in borders.items()}
    beside: dict[str, set[str]] = {lane.name: set() for lane in lanes}
    ahead = {lane.name: lane.centre[-1] - lane.centre[0] for lane in lanes if lane.centre is not None}
    for name, (left, _) in borders.items():
        other = rightmost.get(left)
        # Whose left border is another's right one is beside it, if they lead the same way.
        if other is not None and ahead[name] @ ahead[other] > 0:
            beside[name].add(other)
            beside[other].add(name)
    lanes = [_with(lane, tuple(sorted(beside[lane.name]))) for lane in lanes]
    painted = [Line(p, broken=t.get("subtype") == "dashed") for p, t in ways.values() if t.get("type") in PAINTED]
    edges = [points for points, tags in ways.values() if tags.get("type") in EDGES]
    return linked(RecordedMap(tuple(lanes), tuple(painted), tuple(edges))), ""


def _tags(element: ElementTree.Element) -> dict[str, str]:
    return {tag.get("k", ""): tag.get("v", "") for tag in element.iter("tag")}


def _lane(name: str, left: np.ndarray, right: np.ndarray, junction: bool) -> MapLane:
    """A lane from its borders, whose points may be in either order: left is left of the driving direction."""
    there = np.hypot(*(left[0] - right[0])) + np.hypot(*(left[-1] - right[-1]))
    if np.hypot(*(left[0] - right[-1])) + np.hypot(*(left[-1] - right[0])) < there:
        right = right[::-1]
    along, aside = left[-1] - left[0], right.mean(0) - left.mean(0)
    if along[0] * aside[1] - along[1] * aside[0] > 0:
        left, right = left[::-1], right[::-1]
    count = max(2, int(max(lines.lengths(left)[-1], lines.lengths(right)[-1]) / 2.0) + 1)
    centre = (lines.resampled(left, count) + lines.resampled(right, count)) / 2
    return MapLane(name, centre=centre, left=left, right=right, junction=junction)


def _with(lane: MapLane, beside: tuple[str, ...]) -> MapLane:
    return MapLane(lane.name, lane.centre, lane.left, lane.right, beside=beside, junction=lane.junction)
