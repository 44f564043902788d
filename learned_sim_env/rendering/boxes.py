"""Oriented boxes painted on class ids: agents of a simulator's scene and agents of a dream alike."""

from __future__ import annotations

import numpy as np

from learned_sim_env.spec import BevSpec, SemanticClass


def paint_boxes(
    semantic: np.ndarray,
    rows: np.ndarray,
    poses: np.ndarray,
    sizes: np.ndarray,
    classes: np.ndarray,
    bev: BevSpec,
) -> None:
    """Paint N boxes into B views, in place; higher classes cover lower ones.

    Args:
        semantic: (B, H, W) uint8 class ids.
        rows: (N,) int, the view each box belongs to.
        poses: (N, 3) float, x, y, heading in the ego frame of its view [m, m, rad].
        sizes: (N, 2) float, length and width [m].
        classes: (N,) uint8.
        bev: geometry of the view.
    """
    m = bev.metres_per_pixel
    # Half a diagonal of a pixel at least, so that the smallest cone still covers a pixel's centre.
    half = np.maximum(np.asarray(sizes, np.float32) / 2, m * np.float32(np.sqrt(0.5) * (1 + 1e-6)))
    reach = np.hypot(half[:, 0], half[:, 1])
    row, column = bev.pixels(poses)
    margin = reach / m
    seen = (row > -margin) & (row < bev.height - 1 + margin) & (column > -margin) & (column < bev.width - 1 + margin)
    if not seen.any():
        return
    order = np.flatnonzero(seen)
    order = order[np.argsort(classes[order], kind="stable")]
    rows, half, row, column, heading = rows[order], half[order], row[order], column[order], poses[order, 2]
    window = int(2 * np.ceil(reach[order].max() / m) + 1)
    steps = np.arange(window) - window // 2
    r = np.rint(row).astype(np.int64)[:, None, None] + steps[:, None]
    c = np.rint(column).astype(np.int64)[:, None, None] + steps[None, :]
    x = (row[:, None, None] - r) * m
    y = (column[:, None, None] - c) * m
    cos, sin = np.cos(heading)[:, None, None], np.sin(heading)[:, None, None]
    inside = (np.abs(x * cos + y * sin) <= half[:, 0, None, None]) & (
        np.abs(y * cos - x * sin) <= half[:, 1, None, None]
    )
    inside &= (r >= 0) & (r < bev.height) & (c >= 0) & (c < bev.width)
    box, i, j = np.nonzero(inside)
    semantic[rows[box], r[box, i, 0], c[box, 0, j]] = classes[order][box]


def paint_ego(semantic: np.ndarray, length: float, width: float, bev: BevSpec) -> None:
    """Paint the ego of `length` by `width` metres into every view of `semantic` (B, H, W), in place."""
    centres = bev.pixel_centres()
    inside = (np.abs(centres[..., 0]) <= length / 2) & (np.abs(centres[..., 1]) <= width / 2)
    semantic[:, inside] = SemanticClass.EGO
