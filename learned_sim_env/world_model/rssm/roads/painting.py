"""Paints pieces of road into a remembered map, by the rules that paint simulators' maps (`rendering.bev`)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.spec import SemanticClass
from learned_sim_env.world_model.rssm.line_pieces import FARTHEST, beside_line
from learned_sim_env.world_model.rssm.map.memory import IMAGINED, UNKNOWN
from learned_sim_env.world_model.rssm.roads.library import ROUTE_STEP, UNIT, RoadLibrary
from learned_sim_env.world_model.rssm.route.landmarks import FAR

# [m] What lies farther than this from the routes of all pieces is not theirs to say.
REACH = 45.0
# [cells] Whose ground it is is told for squares of so many.
SQUARE = 4
# [cells] Of a marking so many cells around its middle are looked at: they are at most 3 m long, and FARTHEST wide.
AROUND = 4
# Surfaces are painted so much finer than cells, whose middles are looked at: OpenCV's reach half a pixel too far.
FINER = 4
# Cells that a small object may cover, from the one that its middle is in.
BESIDE = np.stack(np.meshgrid(*[np.arange(-1, 2)] * 2, indexing="ij"), -1).reshape(-1, 2)
# OpenCV draws at fixed-point coordinates: this many bits behind the point.
_SHIFT = 6


class RoadPainter:
    """Paints pieces of a library, one map at a time, so that a map does not depend on others.

    Args:
        library: of pieces.
        size: cells on a side of a map. metres: of a cell.
    """

    def __init__(self, library: RoadLibrary, size: int, metres: float):
        self.size, self.metres = size, metres
        self.points = library.points.cpu().numpy() * UNIT
        self.markings = (library.markings.cpu().numpy() * UNIT).reshape(-1, 2, 2)
        self.solid, self.on_route = library.solid.cpu().numpy(), library.on_route.cpu().numpy()
        self.outlines = library.outlines.cpu().numpy()
        self.outlines_of, self.markings_of = library.outlines_of.cpu().numpy(), library.markings_of.cpu().numpy()
        self.places = library.places.cpu().numpy()
        self.places_of = library.places_of.cpu().numpy()
        self.exit_pose, self.last = library.exit_pose.cpu().numpy(), library.last.cpu().numpy()
        self.objects = library.objects.cpu().numpy()
        side = np.arange(-AROUND, AROUND + 1)
        self.around = np.stack(np.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2)

    def paint(
        self,
        cells: np.ndarray,
        origin: np.ndarray,
        piece: np.ndarray,
        pose: np.ndarray,
        scale: np.ndarray,
        since: np.ndarray,
    ) -> None:
        """Fill what is unknown of a map (size, size) int16 in the torus of `MapMemory`, in place.

        Args:
            origin: (2,) the plane's cell in the corner of the window.
            piece, pose, scale, since: of the row's pieces, (K,), (K, 3), (K,), (K,), see `plan.LAID`.
        """
        index = [(np.arange(self.size) + start) % self.size for start in origin]
        window = cells[np.ix_(*index)]
        unknown = window == UNKNOWN
        there = np.flatnonzero(piece >= 0)
        if not unknown.any() or not len(there):
            return
        ours = unknown & self._ours(unknown, origin, piece[there], pose[there], scale[there], since[there])
        if not ours.any():
            return
        # Mostly a strip ahead is missing: only what it takes up is painted.
        low, high = _box(ours)
        box = slice(low[0], high[0]), slice(low[1], high[1])
        painted = self._painted(origin + low, ours[box], piece[there], pose[there], scale[there])
        window[box][ours[box]] = painted[ours[box]] | IMAGINED
        cells[np.ix_(*index)] = window

    def _ours(
        self,
        unknown: np.ndarray,
        origin: np.ndarray,
        piece: np.ndarray,
        pose: np.ndarray,
        scale: np.ndarray,
        since: np.ndarray,
    ) -> np.ndarray:
        """(size, size) bool: ground that is nearest to the pieces' routes, rather than before they begin to count or
        beyond the newest, if another follows on it; right where something is `unknown` (size, size).
        """
        first = self.places_of[piece] + np.rint(since / ROUTE_STEP).astype(int)
        last = self.places_of[piece + 1]
        # Of each at least two places, for its direction.
        first = np.minimum(first, last - 2)
        along = np.concatenate([_placed(self.places[a:b:2], q, s) for a, b, q, s in zip(first, last, pose, scale)])
        side = self.size // SQUARE
        squares = unknown.reshape(side, SQUARE, side, SQUARE).any((1, 3))
        x, y = (((k + 0.5) * SQUARE - 0.5 + start) * self.metres for k, start in zip(np.nonzero(squares), origin))
        far = (x[:, None] - along[:, 0]) ** 2 + (y[:, None] - along[:, 1]) ** 2
        nearest = np.full(squares.shape, -1)
        nearest[squares] = np.where(far.min(1) < REACH**2, far.argmin(1), -1)
        ours = _finer(nearest >= 0)
        start, ahead = _placed(self.places[first[0] : first[0] + 2], pose[0], scale[0])
        before = np.append(start, np.arctan2(*(start - ahead)[::-1]))
        ours &= ~(_finer(nearest == 0) & self._beyond(origin, before))
        if not self.last[piece[-1]]:
            leaving = self.exit_pose[piece[-1]]
            end = np.append(_placed(leaving[:2], pose[-1], scale[-1]), pose[-1, 2] + leaving[2])
            ours &= ~(_finer(nearest >= len(along) - 2) & self._beyond(origin, end))
        return ours

    def _beyond(self, origin: np.ndarray, pose: np.ndarray) -> np.ndarray:
        """(size, size) bool: cells that lie ahead of a pose (3,)."""
        c, s = np.cos(pose[2]), np.sin(pose[2])
        u, v = (self.metres * (np.arange(self.size) + start) - at for start, at in zip(origin, pose[:2]))
        return c * u[:, None] + s * v > 0

    def _painted(
        self, origin: np.ndarray, ours: np.ndarray, piece: np.ndarray, pose: np.ndarray, scale: np.ndarray
    ) -> np.ndarray:
        """(H, W) int16: what the pieces show in every cell from `origin` (2,) on, rows along x; markings and objects at
        least where it is wanted, `ours` (H, W) bool.
        """
        import cv2

        image = np.full(np.multiply(ours.shape, FINER), int(SemanticClass.OFF_ROAD), np.uint8)
        polygons: list[list[np.ndarray]] = [[], []]
        markings, solid = [], []
        for p, q, s in zip(piece, pose, scale):
            first, last = self.outlines_of[p], self.outlines_of[p + 1]
            points = _placed(self.points[self.outlines[first] : self.outlines[last]], q, s) / self.metres - origin
            # OpenCV's columns come first.
            fixed = np.rint((points[:, ::-1] * FINER + FINER // 2) * (1 << _SHIFT)).astype(np.int32)
            for part, on_route in zip(
                np.split(fixed, self.outlines[first + 1 : last] - self.outlines[first]), self.on_route[first:last]
            ):
                polygons[int(on_route)].append(part)
            some = slice(self.markings_of[p], self.markings_of[p + 1])
            markings.append(_placed(self.markings[some], q, s) / self.metres - origin)
            solid.append(self.solid[some])
        for same, surface in zip(polygons, (SemanticClass.ROAD, SemanticClass.ROUTE)):
            for polygon in same:
                cv2.fillPoly(image, [polygon], int(surface), cv2.LINE_8, _SHIFT)
        surfaces = image[FINER // 2 :: FINER, FINER // 2 :: FINER]
        painted = self._marked(surfaces, ours, np.concatenate(markings), np.concatenate(solid))
        for p, q, s in zip(piece, pose, scale):
            standing = self.objects[p, self.objects[p, :, 0] < FAR, :2]
            _put(painted, _placed(standing, q, s) / self.metres - origin, q[2])
        return painted

    def _marked(self, image: np.ndarray, ours: np.ndarray, markings: np.ndarray, solid: np.ndarray) -> np.ndarray:
        """The surfaces `image` as cells with `markings` (S, 2, 2) [cells] through them, as far as `ours` needs them."""
        import cv2

        painted = image.astype(np.int16)
        middle = markings.mean(1)
        near = ((middle > -AROUND) & (middle < np.add(image.shape, AROUND))).all(1)
        touched = cv2.dilate(ours.astype(np.uint8), np.ones((2 * AROUND + 1, 2 * AROUND + 1), np.uint8)) > 0
        row, column = np.clip(np.rint(middle), 0, np.subtract(image.shape, 1)).astype(np.int64).T
        near &= touched[row, column]
        markings, solid, middle = markings[near], solid[near], middle[near]
        if not len(markings):
            return painted
        cell = np.rint(middle).astype(np.int64)[:, None] + self.around
        along = markings[:, 1] - markings[:, 0]
        length = np.maximum(np.hypot(*along.T), 1e-6)
        along = along / length[:, None]
        off = cell - middle[:, None]
        t = np.abs((off * along[:, None]).sum(-1)) - length[:, None] / 2
        normal = np.stack([-along[:, 1], along[:, 0]], -1)
        steep = np.abs(normal).max(1)
        away = -(off * normal[:, None]).sum(-1) / steep[:, None]
        inside = (cell >= 0).all(-1) & (cell < image.shape).all(-1)
        which, k = np.nonzero(inside & (np.abs(away) < FARTHEST) & (t < 0.5))
        # Of several lines the nearest counts, and of equal ones the solid one; what is written last stays.
        order = np.lexsort((solid[which], -np.abs(away[which, k])))
        which, k = which[order], k[order]
        u, v = cell[which, k].T
        line = np.where(solid[which], int(SemanticClass.SOLID_LINE), int(SemanticClass.BROKEN_LINE)).astype(np.uint8)
        angle = np.arctan2(normal[:, 1], normal[:, 0])[which]
        values = beside_line(_tensor(line), _tensor(image[u, v]), _tensor(angle), _tensor(away[which, k]))
        painted[u, v] = values.numpy()
        return painted


def _put(painted: np.ndarray, places: np.ndarray, heading: float) -> None:
    """Paint small objects at `places` (N, 2) [cells] into cells (H, W) int16, in place, as `rendering.boxes` does: each
    as a square that covers a cell's middle at least.
    """
    cell = np.rint(places).astype(np.int64)[:, None] + BESIDE
    x, y = np.moveaxis(cell - places[:, None], -1, 0)
    c, s = np.cos(heading), np.sin(heading)
    inside = np.maximum(np.abs(x * c + y * s), np.abs(y * c - x * s)) <= np.sqrt(0.5)
    inside &= (cell >= 0).all(-1) & (cell < painted.shape).all(-1)
    painted[tuple(cell[inside].T)] = int(SemanticClass.STATIC_OBJECT)


def _box(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smallest box around what is set in a mask (H, W), not empty: its first cell (2,), and the one past it."""
    found = [np.flatnonzero(mask.any(axis)) for axis in (1, 0)]
    return np.array([some[0] for some in found]), np.array([some[-1] + 1 for some in found])


def _placed(points: np.ndarray, pose: np.ndarray, scale: float) -> np.ndarray:
    """Points (..., 2) of a piece at `pose` (3,)."""
    c, s = np.cos(pose[2]), np.sin(pose[2])
    return scale * points @ np.array([[c, s], [-s, c]]) + pose[:2]


def _finer(squares: np.ndarray) -> np.ndarray:
    """Squares of cells as cells."""
    return squares.repeat(SQUARE, 0).repeat(SQUARE, 1)


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))
