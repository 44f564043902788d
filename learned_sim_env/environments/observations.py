"""Rows of batched observations, which are an array or a dict of arrays, and pictures of many rows in one."""

from __future__ import annotations

from typing import Any

import numpy as np


def take(observations: Any, i: int | slice) -> Any:
    """Row i alone, or the rows of a slice, copied."""
    if isinstance(observations, dict):
        return {name: value[i].copy() for name, value in observations.items()}
    return observations[i].copy()


def replace(observations: Any, mask: np.ndarray, others: Any) -> None:
    """Write `others` (n rows) over the n rows in `mask` (B,) bool."""
    if isinstance(observations, dict):
        for name, value in observations.items():
            value[mask] = others[name]
    else:
        observations[mask] = others


def tiled(frames: np.ndarray) -> np.ndarray:
    """(B, H, W, 3) frames side by side in a grid as square as possible, black where none is left: (R H, C W, 3)."""
    b, height, width, _ = frames.shape
    columns = int(np.ceil(np.sqrt(b)))
    rows = -(-b // columns)
    grid = np.zeros((rows * columns, height, width, 3), frames.dtype)
    grid[:b] = frames
    return grid.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)
