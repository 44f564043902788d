"""What the ground is made of, as pictures seen from above that get coarser with the distance.

Cameras look these pictures up through each pixel's rays. What is drawn depends on the map and on the window's place
alone, and windows lie on a fixed grid: the same ground is the same numbers, wherever the ego came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from learned_sim_env.optional import opencv
from learned_sim_env.road import road_index
from learned_sim_env.scene import RoadMap

# Shares of a pixel, one channel each; what is left is open ground.
MATERIALS = ("road", "kerb", "broken", "solid")

CELL = 0.125  # [m] of the finest picture.
WINDOW = 256.0  # [m] A window's side,
STEP = 64.0  # and the grid of its centre: at least 96 m are in it in every direction.
LEVELS = 7  # Cells of 0.125 m to 8 m.
LINE_WIDTH = 0.2  # [m]
# [m] How far kerb stones, and the gravel behind them, reach from the road's edge; the gravel's share of stone.
KERB, VERGE, VERGE_SHARE = 0.35, 1.6, 0.35
_SHIFT = 4


@dataclass(frozen=True, eq=False)
class GroundWindow:
    """levels: (side, side, 4) uint8 shares of `MATERIALS`, each half as fine as the one before. corner: (2,) world
    x, y [m] of the first pixel's corner; columns go along x, rows along y.
    """

    levels: tuple[np.ndarray, ...]
    corner: np.ndarray


def window_centre(place: np.ndarray) -> tuple[float, float]:
    """Centre [m] of the window for an ego at `place` (2,) [m]."""
    x, y = np.round(np.asarray(place, np.float64) / STEP) * STEP
    return float(x), float(y)


@lru_cache(maxsize=3)
def ground_window(road_map: RoadMap, centre: tuple[float, float]) -> GroundWindow:
    """The ground around a place of `window_centre`, kept for the places seen last."""
    cv2 = opencv()
    index = road_index(road_map)
    corner = np.array(centre) - WINDOW / 2
    side = round(WINDOW / CELL)

    def pixels(points: np.ndarray) -> np.ndarray:
        return np.rint(((points - corner) / CELL - 0.5) * (1 << _SHIFT)).astype(np.int32)

    lanes = [road_map.lanes[i] for i in index.lanes_near(np.array(centre), WINDOW * 0.75)]
    polygons = [pixels(lane.polygon) for lane in lanes]
    road, kerb, broken, solid = (np.zeros((side, side), np.uint8) for _ in MATERIALS)
    for reach, share in ((VERGE, VERGE_SHARE), (KERB, 1.0)):
        cv2.polylines(kerb, polygons, True, round(255 * share), round(2 * reach / CELL), cv2.LINE_8, _SHIFT)
    for polygon in polygons:
        cv2.fillPoly(road, [polygon], 255, cv2.LINE_8, _SHIFT)
    # Lanes of one road leave seams of a few centimetres; nothing grows in them.
    closed = cv2.morphologyEx(road, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    kerb[closed > 0] = 0
    thickness = round(LINE_WIDTH / CELL)
    for image, pieces in ((broken, index.broken), (solid, index.solid)):
        near = np.abs(pieces.mean(1) - centre).max(-1) < WINDOW / 2 + 4.0
        cv2.polylines(image, list(pixels(pieces[near])), False, 255, thickness, cv2.LINE_AA, _SHIFT)
    finest = cv2.merge([closed, kerb, broken, solid])
    levels = [finest]
    while len(levels) < LEVELS:
        levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    return GroundWindow(tuple(levels), corner)


@lru_cache(maxsize=1)
def grain() -> np.ndarray:
    """(512, 512) float32 around 1: a patch of 64 m of the ground's unevenness that repeats without a seam."""
    rng = np.random.default_rng(0x6E0)
    total = np.zeros((512, 512))
    for cells, weight in ((8, 0.5), (32, 0.35), (128, 0.3), (512, 0.25)):
        total += weight * tiled_noise(rng, cells, 512)
    return (1 + 0.16 * total).astype(np.float32)


def tiled_noise(rng: np.random.Generator, cells: int, size: int) -> np.ndarray:
    """(size, size) smooth noise of about -1 to 1 whose opposite edges meet; `cells` bumps a side."""
    cv2 = opencv()
    coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    if cells == size:
        return coarse
    wrapped = np.pad(coarse, 2, mode="wrap")
    scale = size // cells
    large = cv2.resize(wrapped, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return large[2 * scale : 2 * scale + size, 2 * scale : 2 * scale + size]
