"""What is derived once from a `RoadMap`: where lanes are, which of them hold a point, where on the route one is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from learned_sim_env.optional import opencv
from learned_sim_env.scene import Lane, Line, RoadMap, to_frame, wrap_angle
from learned_sim_env.spec import WAYPOINTS

# The route ahead is described by the headings of so many chords of this length [m], from where the ego is alongside.
STATIONS = 14
STATION = 4.0
# [m] Lane polygons of one road may leave seams of a few centimetres; a point this near to a lane is on it.
SEAM = 0.3


@dataclass(frozen=True, eq=False)
class RoadIndex:
    """Lookup tables of one map.

    lane_boxes: (L, 4) x_min, y_min, x_max, y_max [m]. broken, solid: (S, 2, 2) straight pieces of lane markings [m].
    route_s: (N,) arc length of the route's points [m]; route_tangents: (N,) heading there [rad], unwrapped.
    """

    road_map: RoadMap
    lane_boxes: np.ndarray
    broken: np.ndarray
    solid: np.ndarray
    route_s: np.ndarray
    route_tangents: np.ndarray

    def lanes_near(self, point: np.ndarray, reach: float) -> np.ndarray:
        """Indices of lanes whose bounding box comes within `reach` metres of `point` (2,)."""
        box = self.lane_boxes
        outside = np.maximum(np.maximum(box[:, :2] - point, point - box[:, 2:]), 0.0)
        return np.flatnonzero((outside**2).sum(-1) <= reach**2)

    def lanes_at(self, point: np.ndarray) -> list[Lane]:
        """Lanes that `point` (2,) is on, to within `SEAM`."""
        cv2 = opencv()
        target = (float(point[0]), float(point[1]))
        return [
            lane
            for lane in (self.road_map.lanes[i] for i in self.lanes_near(point, SEAM))
            if cv2.pointPolygonTest(lane.polygon.astype(np.float32), target, True) >= -SEAM
        ]

    def on_route(self, pose: np.ndarray) -> tuple[float, float, float]:
        """Where a pose (3,) is on the route: metres left to its end, offset [m] (left +), heading error [rad]."""
        points = self.road_map.route
        segment = np.diff(points, axis=0)
        length2 = np.maximum((segment**2).sum(-1), 1e-9)
        fraction = np.clip(((pose[:2] - points[:-1]) * segment).sum(-1) / length2, 0.0, 1.0)
        offset = pose[:2] - (points[:-1] + fraction[:, None] * segment)
        i = int((offset**2).sum(-1).argmin())
        # Interpolated between vertices: the heading of a polyline alone would jump at each of them.
        heading = (1 - fraction[i]) * self.route_tangents[i] + fraction[i] * self.route_tangents[i + 1]
        left = self.route_s[-1] - (self.route_s[i] + fraction[i] * np.sqrt(length2[i]))
        side = segment[i, 0] * offset[i, 1] - segment[i, 1] * offset[i, 0]
        distance = float(np.copysign(np.hypot(*offset[i]), side))
        return float(left), distance, float(wrap_angle(pose[2] - heading))

    def route_headings(self, left: float) -> np.ndarray:
        """(STATIONS,) headings [rad], unwrapped, of the route's chords from one of its points to that `STATION` m on.

        The first starts where `left` metres are left; past its end the route goes straight on.
        """
        x, y = self._ahead(left, STATION * np.arange(STATIONS + 1)).T
        return np.unwrap(np.arctan2(np.diff(y), np.diff(x)))

    def waypoints(self, pose: np.ndarray) -> np.ndarray:
        """(WAYPOINTS, 2) float32 [m]: the next points of the route, `STATION` m apart, in the frame of a pose (3,).

        The first is `STATION` m on from where the pose is beside the route; past its end the route goes straight on.
        """
        ahead = self._ahead(self.on_route(pose)[0], STATION * np.arange(1, WAYPOINTS + 1))
        return to_frame(ahead, pose).astype(np.float32)

    def _ahead(self, left: float, distances: np.ndarray) -> np.ndarray:
        """(N, 2) world points of the route at `distances` (N,) [m] from where `left` metres of it are left."""
        beyond = distances[-1] + STATION
        end = self.road_map.route[-1] + beyond * np.array(
            [np.cos(self.route_tangents[-1]), np.sin(self.route_tangents[-1])]
        )
        known = np.append(self.route_s, self.route_s[-1] + beyond)
        s = self.route_s[-1] - left + distances
        return np.stack([np.interp(s, known, np.append(self.road_map.route[:, k], end[k])) for k in (0, 1)], -1)


@lru_cache(maxsize=4)
def road_index(road_map: RoadMap) -> RoadIndex:
    """The index of a map, kept for the maps used last."""
    boxes = [np.concatenate([lane.polygon.min(0), lane.polygon.max(0)]) for lane in road_map.lanes]
    segment = np.diff(road_map.route, axis=0)
    lengths = np.hypot(segment[:, 0], segment[:, 1])
    headings = np.unwrap(np.arctan2(segment[:, 1], segment[:, 0]))
    tangents = np.concatenate([headings[:1], (headings[1:] + headings[:-1]) / 2, headings[-1:]])
    return RoadIndex(
        road_map,
        np.array(boxes, np.float64).reshape(-1, 4),
        _pieces([line for line in road_map.lines if line.broken]),
        _pieces([line for line in road_map.lines if not line.broken]),
        np.concatenate([[0.0], np.cumsum(lengths)]),
        tangents,
    )


def _pieces(lines: list[Line], solid_piece: float = 3.0) -> np.ndarray:
    """Straight pieces (S, 2, 2) of lane markings: the dashes of broken lines, short lengths of solid ones."""
    pieces = []
    for line in lines:
        s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line.points, axis=0).T))])
        period, dash = (line.period, line.dash) if line.broken else (solid_piece, solid_piece)
        starts = np.arange(0.0, s[-1], period)
        ends = np.minimum(starts + dash, s[-1])
        ends_of = [np.stack([np.interp(at, s, line.points[:, k]) for k in (0, 1)], -1) for at in (starts, ends)]
        pieces.append(np.stack(ends_of, axis=1))
    return np.concatenate(pieces) if pieces else np.zeros((0, 2, 2))
