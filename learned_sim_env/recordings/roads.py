"""From a recorded map and a driven path to a `RoadMap`: what is near, outlines of lanes, and a route to follow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from learned_sim_env.recordings import lines
from learned_sim_env.recordings.recording import MapLane, RecordedMap
from learned_sim_env.recordings.routes import choose_route
from learned_sim_env.scene import Lane, Line, RoadMap

# [m] What is farther than this from the driven path is left out.
REACH = 110.0
# [m] Half widths of lanes whose borders are not recorded: the usual one, and those within which a border is theirs.
HALF_WIDTH, BORDERS = 1.75, (1.2, 2.6)
# [m] between points of centre lines.
SPACING = 2.0
# [rad] in all that make a lane a curve.
CURVE = 0.4


@dataclass(frozen=True, eq=False)
class Road:
    """road_map: in the frame of the drive. route: "recorded", "map" or "driven". centres: (N, 2) of lanes by name."""

    road_map: RoadMap
    route: str
    centres: dict[str, np.ndarray]


def build_road(recorded: RecordedMap | None, path: np.ndarray, route: np.ndarray | None, origin: np.ndarray) -> Road:
    """The road around a driven path (N, 2), moved by -`origin` (2,); without a map there is only a route.

    Args:
        recorded: the map, or None.
        path: places of the car [m] in the recording's frame.
        route: (M, 2) that it was told to follow, or None.
        origin: place in the recording's frame that becomes (0, 0).
    """
    path = lines.clean(path - origin)
    near = RecordedMap(()) if recorded is None else _near(recorded, path, origin)
    borders = _borders(near)
    shapes = {lane.name: shape for lane in near.lanes if (shape := _shape(lane, borders)) is not None}
    lanes = {lane.name: lane for lane in near.lanes if lane.name in shapes}
    centres = {name: centre for name, (centre, _) in shapes.items()}
    told = None if route is None else lines.clean(route - origin)
    kind, line, on_route = choose_route(path, told, lanes, centres)
    found = [
        Lane(outline, centre, name in on_route, _tag(lanes[name], centre)) for name, (centre, outline) in shapes.items()
    ]
    found += [Lane(area, np.zeros((0, 2))) for area in near.areas if len(area) > 2]
    markings = (*near.lines, *(Line(edge) for edge in near.edges))
    return Road(RoadMap(tuple(found), markings, line), kind, centres)


def _near(recorded: RecordedMap, path: np.ndarray, origin: np.ndarray) -> RecordedMap:
    """What is near the path, in the frame of the drive; lines of one point are none."""
    low, high = path.min(0) - REACH, path.max(0) + REACH

    def moved(points: np.ndarray | None) -> np.ndarray | None:
        """Without what is far away, or has no length."""
        if points is None or len(points) < 2:
            return None
        points = lines.clean(np.asarray(points, np.float64)[:, :2] - origin)
        inside = len(points) > 1 and (points.max(0) >= low).all() and (points.min(0) <= high).all()
        return points if inside else None

    lanes = [
        replace(
            lane, centre=moved(lane.centre), left=moved(lane.left), right=moved(lane.right), polygon=moved(lane.polygon)
        )
        for lane in recorded.lanes
    ]
    markings = [replace(line, points=points) for line in recorded.lines if (points := moved(line.points)) is not None]
    edges, areas = (
        tuple(points for p in pieces if (points := moved(p)) is not None) for pieces in (recorded.edges, recorded.areas)
    )
    return RecordedMap(tuple(lanes), tuple(markings), edges, areas)


def _borders(near: RecordedMap) -> np.ndarray:
    """(P, 2) points of markings and edges, a metre apart, for lanes whose borders are not recorded."""
    pieces = [lines.spaced(piece, 1.0) for piece in (*(line.points for line in near.lines), *near.edges)]
    return np.concatenate(pieces) if pieces else np.zeros((0, 2))


def _shape(lane: MapLane, borders: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Centre line (M, 2) and outline (N, 2) of a lane; None if there is none of it."""
    centre, left, right = lane.centre, lane.left, lane.right
    if left is not None and right is not None:
        if centre is None:
            count = max(2, int(np.ceil(max(lines.lengths(left)[-1], lines.lengths(right)[-1]) / SPACING)) + 1)
            centre = (lines.resampled(left, count) + lines.resampled(right, count)) / 2
        return lines.spaced(centre, SPACING), np.concatenate([left, right[::-1]])
    if centre is None:
        # An outline alone is road without direction: formats put that among the areas.
        return None
    centre = lines.spaced(centre, SPACING)
    return centre, lane.polygon if lane.polygon is not None and len(lane.polygon) > 2 else _outline(centre, borders)


def _outline(centre: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """(2 M, 2) outline of a lane from the markings and edges beside its centre line (M, 2)."""
    near = borders[((borders >= centre.min(0) - BORDERS[1]) & (borders <= centre.max(0) + BORDERS[1])).all(-1)]
    angle = lines.headings(centre)
    offset = near - centre[:, None]
    along = offset[..., 0] * np.cos(angle)[:, None] + offset[..., 1] * np.sin(angle)[:, None]
    across = -offset[..., 0] * np.sin(angle)[:, None] + offset[..., 1] * np.cos(angle)[:, None]
    sides = []
    for sign in (1, -1):
        distance = np.where(
            (np.abs(along) < 1.0) & (sign * across > BORDERS[0]) & (sign * across < BORDERS[1]), sign * across, np.inf
        )
        half = distance.min(1, initial=np.inf)
        known = np.isfinite(half)
        if known.any():
            # A border that is there for a part only says how wide the rest is, too.
            at = np.arange(len(half))
            half = np.interp(at, at[known], half[known])
        else:
            half = np.full(len(centre), HALF_WIDTH)
        sides.append(lines.beside(centre, sign * half))
    return np.concatenate([sides[0], sides[1][::-1]])


def _tag(lane: MapLane, centre: np.ndarray) -> str:
    if lane.junction:
        return "intersection"
    return "curve" if abs(lines.turn(centre)) > CURVE else ""
