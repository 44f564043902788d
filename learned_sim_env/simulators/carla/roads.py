"""A `carla.Map` as lanes, lines and a graph of lanes. Everything here is in the contract's frame."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from learned_sim_env.optional import require
from learned_sim_env.scene import Lane, Line, wrap_angle
from learned_sim_env.simulators.carla import frames

# [m] between the points of a lane's centre line.
SPACING = 2.0
# Lane markings that are painted as dashes; of the others all but NONE are solid.
BROKEN = ("Broken", "BrokenBroken", "BottsDots")
# [m] Dashes of the edges of a crosswalk.
CROSSWALK_DASH, CROSSWALK_PERIOD = 0.75, 1.5
# [rad] in all that make a lane a curve, and what all movements of a junction stay below if it is a merging.
CURVE, MERGE = 0.4, 0.8
# [1/m] Least and largest curvature of a roundabout.
ROUNDABOUT = (1 / 60, 1 / 5)

# Road, section and lane id: one lane of one road section.
Key = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Segment:
    """One lane of one road section. centre, left, right: (M, 2) [m] in driving direction. junction: its id or -1."""

    key: Key
    centre: np.ndarray
    left: np.ndarray
    right: np.ndarray
    junction: int
    lane: Lane
    lines: tuple[Line, ...]

    @property
    def group(self) -> tuple[int, int, int]:
        """What the lanes of one direction of one road section have in common."""
        road, section, lane = self.key
        return road, section, 1 if lane > 0 else -1

    @property
    def length(self) -> float:
        """Of its centre line [m]."""
        return float(np.hypot(*np.diff(self.centre, axis=0).T).sum())

    @property
    def turn(self) -> float:
        """How far its direction turns in all [rad], left positive."""
        angles = np.arctan2(*np.diff(self.centre, axis=0).T[::-1])
        return float(wrap_angle(np.diff(angles)).sum())


class RoadNetwork:
    """All lanes to drive on.

    Attributes:
        segments: by key. graph: networkx.DiGraph of keys; an edge leads on into the next lane or over into the one
            beside it (`change=True`), `length` [m] is what it costs. lines: markings and crosswalks.

    Raises:
        ValueError: for a map without lanes to drive on.
    """

    def __init__(self, carla_map: Any):
        networkx = require("networkx", extra="carla")
        edges = carla_map.get_topology()
        if not edges:
            raise ValueError(f"map {carla_map.name} has no lane to drive on: it is not a usable OpenDRIVE map")
        starts, ends = {}, {}
        for a, b in edges:
            starts[_key(a)], ends[_key(a)] = a, b
        self.segments = {key: _segment(starts[key], ends[key]) for key in sorted(starts)}
        self.graph = networkx.DiGraph()
        for key, segment in self.segments.items():
            self.graph.add_node(key, length=segment.length)
        for a, b in edges:
            if _key(b) in self.segments:
                self.graph.add_edge(_key(a), _key(b), length=self.segments[_key(a)].length, change=False)
        for (road, section, lane), segment in self.segments.items():
            beside = (road, section, lane + (1 if lane > 0 else -1))
            if beside in self.segments and segment.junction < 0 and segment.length > 20.0:
                # Costs something, or routes would weave.
                self.graph.add_edge(segment.key, beside, length=15.0, change=True)
                self.graph.add_edge(beside, segment.key, length=15.0, change=True)
        self._tag(networkx)
        self.lines = [line for segment in self.segments.values() for line in segment.lines]
        self.lines += _crosswalks(carla_map.get_crosswalks())

    def successors(self, key: Key) -> list[Key]:
        """The lanes that a lane leads into."""
        return [k for k in self.graph.successors(key) if not self.graph.edges[key, k]["change"]]

    def _tag(self, networkx: Any) -> None:
        """Give every lane the scenario tag of its place."""
        low, high = ROUNDABOUT
        # Lanes that bend left about as much as a roundabout, and lead into one another all around.
        bent = [k for k, s in self.segments.items() if low < s.turn / max(s.length, 1.0) < high]
        around = networkx.strongly_connected_components(self.graph.subgraph(bent))
        circles = {key for ring in around if len(ring) > 2 for key in ring}
        junctions = defaultdict(list)
        for segment in self.segments.values():
            if segment.junction >= 0:
                junctions[segment.junction].append(segment)
        kinds = {}
        for junction, members in junctions.items():
            if any(s.key in circles for s in members):
                kinds[junction] = "roundabout"
            elif max(abs(s.turn) for s in members) < MERGE:
                kinds[junction] = "merge"
            else:
                kinds[junction] = "intersection"
        for key, segment in self.segments.items():
            tag = kinds.get(segment.junction, "curve" if abs(segment.turn) > CURVE else "")
            tag = "roundabout" if key in circles else tag
            self.segments[key] = replace(segment, lane=replace(segment.lane, tag=tag))


def _key(waypoint: Any) -> Key:
    return waypoint.road_id, waypoint.section_id, waypoint.lane_id


def _segment(start: Any, end: Any) -> Segment:
    waypoints = [start]
    while len(waypoints) < 5000:
        following = [w for w in waypoints[-1].next(SPACING) if _key(w) == _key(start)]
        if not following:
            break
        waypoints.append(following[0])
    centre = [frames.point(w.transform.location) for w in waypoints]
    headings = [frames.heading(w.transform.rotation) for w in waypoints]
    widths = [w.lane_width for w in waypoints]
    last = frames.point(end.transform.location)
    if np.hypot(last[0] - centre[-1][0], last[1] - centre[-1][1]) < 2 * SPACING:
        # Lanes meet without a gap: the next one begins where this one ends.
        if len(centre) > 1 and np.hypot(last[0] - centre[-1][0], last[1] - centre[-1][1]) < 0.2:
            centre, headings, widths = centre[:-1], headings[:-1], widths[:-1]
        centre, widths = [*centre, last], [*widths, widths[-1]]
        headings.append(frames.heading(end.transform.rotation))
    middle, angle, half = np.array(centre), np.array(headings), np.array(widths)[:, None] / 2
    aside = np.stack([-np.sin(angle), np.cos(angle)], -1)
    left, right = middle + half * aside, middle - half * aside
    lane = Lane(np.concatenate([left, right[::-1]]), middle)
    junction = start.junction_id if start.is_junction else -1
    lines = () if start.is_junction else (*_lines(waypoints, right, "right"), *_lines(waypoints, left, "left"))
    return Segment(_key(start), middle, left, right, junction, lane, lines)


def _lines(waypoints: list[Any], edge: np.ndarray, side: str) -> list[Line]:
    """The markings along one edge (M, 2) of a lane."""
    kinds = [_marking(w, side) for w in waypoints]
    # The edge may end a little farther than the last waypoint.
    kinds += kinds[-1:] * (len(edge) - len(kinds))
    lines, at = [], 0
    for kind, run in groupby(kinds[: len(edge)]):
        count = len(list(run))
        points = edge[at : at + count + 1]
        at += count
        if kind is not None and len(points) > 1:
            lines.append(Line(points, broken=kind == "broken"))
    return lines


def _marking(waypoint: Any, side: str) -> str | None:
    """ "broken", "solid", or None where the edge has no marking or it is another lane's to paint."""
    if side == "left":
        beside = waypoint.get_left_lane()
        if beside is not None and beside.lane_type.name == "Driving":
            same_direction = (beside.lane_id > 0) == (waypoint.lane_id > 0)
            if same_direction or waypoint.lane_id > 0:
                return None
        marking = waypoint.left_lane_marking
    else:
        marking = waypoint.right_lane_marking
    kind = marking.type.name if marking is not None else "NONE"
    return None if kind == "NONE" else "broken" if kind in BROKEN else "solid"


def _crosswalks(corners: list[Any]) -> list[Line]:
    """CARLA gives the corners of all crosswalks in one list; each closes with its first one."""
    lines: list[Line] = []
    outline: list[tuple[float, float]] = []
    for corner in map(frames.point, corners):
        outline.append(corner)
        if len(outline) > 2 and np.allclose(outline[0], corner, atol=1e-3):
            points = np.array(outline)
            sides = np.hypot(*np.diff(points, axis=0).T)
            lines += [
                Line(points[i : i + 2], broken=True, dash=CROSSWALK_DASH, period=CROSSWALK_PERIOD)
                for i in range(len(sides))
                if sides[i] > np.median(sides)
            ]
            outline = []
    return lines
