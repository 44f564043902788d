"""What stands beside the road: trees, houses, lamps and posts, at places that the map alone decides."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from learned_sim_env.optional import opencv
from learned_sim_env.scene import RoadMap, to_frame
from learned_sim_env.spec import SCENERY_REACH, SceneryKind

TREE, CONIFER, BUSH, HOUSE, BLOCK, LAMP, POST = (kind for kind in SceneryKind if kind)

CELL = 1.0  # [m] of the map of distances to the road.
MARGIN = 70.0  # [m] around the map in which things stand.
# Places are drawn one in each square of this side [m], then kept by what stands near.
_SPACING: dict[int, float] = {TREE: 9.0, HOUSE: 30.0, LAMP: 28.0, POST: 17.0}
_SIZES: dict[int, tuple[tuple[float, float, float], ...]] = {  # length, width, height [m]: the least and the most.
    TREE: ((4.0, 4.0, 5.5), (7.5, 7.5, 11.0)),
    CONIFER: ((3.0, 3.0, 7.0), (5.0, 5.0, 14.0)),
    BUSH: ((1.5, 1.5, 1.0), (3.0, 3.0, 2.0)),
    HOUSE: ((9.0, 7.0, 5.5), (14.0, 10.0, 8.5)),
    BLOCK: ((14.0, 10.0, 10.0), (22.0, 14.0, 24.0)),
    LAMP: ((0.18, 0.18, 7.0), (0.18, 0.18, 8.0)),
    POST: ((0.12, 0.12, 1.0), (0.12, 0.12, 1.0)),
}
# What can matter to cameras soon: things within `SCENERY_REACH` that are ahead or beside, not more than so many radians
# from straight ahead, and those nearer than this [m] on any side.
BEARING = np.radians(110.0)
BESIDE = 15.0


@dataclass(frozen=True, eq=False)
class Scenery:
    """N things that never move; world frame.

    kinds: (N,) int, `SceneryKind`. poses: (N, 3) float64 x, y, heading. sizes: (N, 3) float64 length, width,
    height [m]. looks: (N,) float64 in [0, 1), which of a kind's colours it has.
    """

    kinds: np.ndarray
    poses: np.ndarray
    sizes: np.ndarray
    looks: np.ndarray

    def around(self, pose: np.ndarray, count: int) -> Scenery:
        """Those of at most `count` things that are around `pose` (3,), see `BEARING`, the nearest first."""
        x, y = to_frame(self.poses[:, :2], pose).T
        away = np.hypot(x, y)
        near = np.flatnonzero((away < SCENERY_REACH) & ((np.abs(np.arctan2(y, x)) < BEARING) | (away < BESIDE)))
        rows = near[np.argsort(away[near], kind="stable")[:count]]
        return Scenery(self.kinds[rows], self.poses[rows], self.sizes[rows], self.looks[rows])


@lru_cache(maxsize=4)
def scenery(road_map: RoadMap) -> Scenery:
    """What stands beside the roads of a map, kept for the maps used last."""
    corner, away, towards = _distances(road_map)
    rng = np.random.default_rng(_seed(road_map))
    extent = np.array(away.shape[::-1]) * CELL
    town = _bumps(rng, extent, 130.0)

    def drawn(spacing: float) -> np.ndarray:
        """(n, 2): one place in every square."""
        squares = np.stack(np.meshgrid(*(np.arange(0, side, spacing) for side in extent)), -1).reshape(-1, 2)
        return squares + rng.uniform(0.12, 0.88, squares.shape) * spacing

    def at(image: np.ndarray, places: np.ndarray) -> np.ndarray:
        column, row = np.minimum((places / CELL).astype(int), np.array(image.shape[::-1]) - 1).T
        return image[row, column]

    parts = []

    def add(kinds: np.ndarray, places: np.ndarray, headings: np.ndarray) -> None:
        low, high = (np.array([_SIZES[k][i] for k in _SIZES])[kinds - TREE] for i in (0, 1))
        sizes = low + rng.uniform(0, 1, low.shape) * (high - low)
        parts.append((kinds, np.column_stack([places, headings]), sizes, rng.uniform(0, 1, len(kinds))))

    # Houses, along the road and far enough from it, where the town is.
    places = drawn(_SPACING[HOUSE])
    distance, built = at(away, places), at(town, places)
    large = built > 0.45
    keep = (distance > np.where(large, 15.0, 11.0)) & (distance < 42.0) & (built > -0.05)
    places, large = places[keep], large[keep]
    add(np.where(large, BLOCK, HOUSE), places, at(towards, places) + np.pi / 2)
    houses = places
    # Trees anywhere else, closer where no houses are.
    places = drawn(_SPACING[TREE])
    distance, built, chance = at(away, places), at(town, places), rng.uniform(0, 1, len(places))
    free = np.ones(len(places), bool)
    for x, y in houses:
        free &= np.hypot(places[:, 0] - x, places[:, 1] - y) > 13.0
    keep = free & (distance > 4.0) & (distance < 60.0) & (chance < np.where(built > 0, 0.22, 0.5))
    places = places[keep]
    draw, wood = rng.uniform(0, 1, len(places)), at(_bumps(rng, extent, 90.0), places)
    kinds = np.where(draw < 0.22, BUSH, np.where(wood > 0.1, CONIFER, TREE))
    add(kinds, places, rng.uniform(-np.pi, np.pi, len(places)))
    # Lamps in town and posts outside, at the road's edge: the place of each square that is nearest to where they stand.
    for kind, edge in ((LAMP, 1.6), (POST, 1.0)):
        rows, columns = np.nonzero(np.abs(away - edge) < 0.6)
        if not len(rows):
            continue
        edges = (np.column_stack([columns, rows]) + 0.5) * CELL
        order = rng.permutation(len(edges))
        square = (edges[order] // _SPACING[kind]).astype(int)
        first = np.sort(np.unique(square @ np.array([1, 1 << 20]), return_index=True)[1])
        places = edges[order[first]]
        places = places[(at(town, places) > -0.1) == (kind == LAMP)]
        add(np.full(len(places), kind), places, at(towards, places))
    kinds, poses, sizes, looks = (np.concatenate([part[i] for part in parts]) for i in range(4))
    poses[:, :2] += corner
    return Scenery(kinds, poses, sizes, looks)


def _distances(road_map: RoadMap) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corner (2,) [m]; then for every cell from there on, rows along y: metres to the road, and the heading to it."""
    cv2 = opencv()
    points = np.concatenate([lane.polygon for lane in road_map.lanes] or [road_map.route])
    corner = np.floor(points.min(0) - MARGIN)
    columns, rows = np.ceil((points.max(0) + MARGIN - corner) / CELL).astype(int)
    open_ground = np.full((rows, columns), 255, np.uint8)
    for lane in road_map.lanes:
        cv2.fillPoly(open_ground, [np.rint((lane.polygon - corner) / CELL * 16 - 8).astype(np.int32)], 0, shift=4)
    away = cv2.distanceTransform(open_ground, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) * CELL
    smooth = cv2.GaussianBlur(away, (0, 0), 2.0)
    down, across = np.gradient(smooth)
    return corner, away, np.arctan2(-down, -across)


def _bumps(rng: np.random.Generator, extent: np.ndarray, size: float) -> np.ndarray:
    """Smooth noise of -1 to 1 over `extent` (2,) [m] in cells of `CELL`, in bumps of `size` [m]."""
    cv2 = opencv()
    columns, rows = np.ceil(extent / size).astype(int) + 3
    coarse = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
    large = cv2.resize(coarse, None, fx=size / CELL, fy=size / CELL, interpolation=cv2.INTER_CUBIC)
    return large[: int(extent[1] / CELL), : int(extent[0] / CELL)]


def _seed(road_map: RoadMap) -> int:
    """A number that tells this map from others, to the centimetre."""
    digest = hashlib.sha256()
    for lane in road_map.lanes:
        digest.update(np.rint(lane.polygon * 100).astype(np.int64).tobytes())
    return int.from_bytes(digest.digest()[:8], "little")
