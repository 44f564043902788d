"""A view as distances along rays around the ego: a hundred numbers that a small network can learn to drive from."""

from __future__ import annotations

from functools import cache

import numpy as np

from learned_sim_env.spec import NUM_CLASSES, PALETTE, BevSpec, SemanticClass

# [degrees] Directions to look in, 0 is ahead and + is left: closer together where the ego goes.
ANGLES = (0.0, *(s * a for a in (2.5, 5, 8, 12, 17, 24, 33, 45, 60, 90, 120, 150) for s in (1, -1)), 180.0)
REACH = 36.0  # [m] The farthest that is seen, which is where the view ends ahead.
# What is looked for along a ray, and the classes at which it ends; lines and the ego itself are looked through.
TARGETS = {
    "off_road": (SemanticClass.OFF_ROAD,),
    "off_route": (SemanticClass.OFF_ROAD, SemanticClass.ROAD),
    "obstacle": (SemanticClass.STATIC_OBJECT, SemanticClass.VEHICLE, SemanticClass.PEDESTRIAN),
}

# Every colour of the palette has a red of its own, which alone tells the class.
_CLASS_OF_RED = np.zeros(256, np.uint8)
_CLASS_OF_RED[PALETTE[:, 0]] = np.arange(NUM_CLASSES)
_ENDS = np.array([[c in classes for c in SemanticClass] for classes in TARGETS.values()])


def distances(views: np.ndarray, bev: BevSpec) -> np.ndarray:
    """How far one sees: the share of `REACH` after which each ray meets each target, 1 where it meets none.

    Args:
        views: (B, H, W, 3) uint8 in the palette, or (B, H, W) uint8 class ids.
        bev: their geometry.

    Returns:
        (B, len(TARGETS), len(ANGLES)) float32 in (0, 1].
    """
    pixels = _pixels(bev)
    red = (views[..., 0] if views.ndim == 4 else views).reshape(len(views), -1)[:, pixels]
    # One bit a target, so that each sample is looked up once; the last sample of a ray meets all of them.
    met = _bits(views.ndim == 4)[red]
    met[..., -1] = 0xFF
    found = np.stack([(met & (1 << i) != 0).argmax(-1) for i in range(len(TARGETS))], 1)
    return ((found + 1) / pixels.shape[1]).astype(np.float32)


@cache
def _pixels(bev: BevSpec) -> np.ndarray:
    """(angles, samples) int64: flat pixel of every sample, a pixel apart; outside, the ray's last one inside."""
    along = np.arange(1, int(REACH / bev.metres_per_pixel) + 1) * bev.metres_per_pixel
    angle = np.radians(ANGLES)[:, None]
    row, column = bev.pixels(np.stack([np.cos(angle) * along, np.sin(angle) * along], -1))
    row, column = np.rint(row).astype(int), np.rint(column).astype(int)
    inside = (row >= 0) & (row < bev.height) & (column >= 0) & (column < bev.width)
    last = np.maximum.accumulate(np.where(inside, np.arange(len(along)), 0), 1)
    flat = np.where(inside, row * bev.width + column, 0)
    return np.take_along_axis(flat, last, 1)


@cache
def _bits(colours: bool) -> np.ndarray:
    """(256,) uint8: which targets a value of a view ends at, a bit each."""
    of_class = (_ENDS * (1 << np.arange(len(TARGETS)))[:, None]).sum(0).astype(np.uint8)
    return of_class[_CLASS_OF_RED] if colours else np.pad(of_class, (0, 256 - NUM_CLASSES))
