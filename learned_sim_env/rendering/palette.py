"""Class ids to colours and back, exactly."""

from __future__ import annotations

from functools import cache

import numpy as np

from learned_sim_env.spec import NUM_CLASSES, PALETTE

_KEYS = (PALETTE.astype(np.int64) << np.array([16, 8, 0])).sum(-1)
_ORDER = np.argsort(_KEYS)


@cache
def _pair_colours() -> np.ndarray:
    """(65536, 6) uint8: the colours of two neighbouring pixels, by both class ids read as one 16-bit number."""
    pairs = np.arange(1 << 16, dtype=np.uint16)[:, None].view(np.uint8)
    return PALETTE[np.minimum(pairs, NUM_CLASSES - 1)].reshape(-1, 6)


def colourise(semantic: np.ndarray) -> np.ndarray:
    """Class ids (..., H, W) uint8 as RGB (..., H, W, 3) uint8."""
    if semantic.shape[-1] % 2:
        return np.take(PALETTE, semantic, axis=0)
    # Two pixels at a time: half as many look-ups.
    pairs = np.ascontiguousarray(semantic).view(np.uint16)
    return np.take(_pair_colours(), pairs, axis=0, mode="clip").reshape(*semantic.shape, 3)


def classes_of(rgb: np.ndarray) -> np.ndarray:
    """RGB (..., H, W, 3) uint8 in the contract's palette as class ids (..., H, W) uint8.

    Raises:
        ValueError: if a colour is not in the palette.
    """
    keys = (rgb.astype(np.int64) << np.array([16, 8, 0])).sum(-1)
    found = _ORDER[np.minimum(np.searchsorted(_KEYS[_ORDER], keys), len(_ORDER) - 1)]
    wrong = _KEYS[found] != keys
    if wrong.any():
        colour = tuple(int(v) for v in rgb[wrong][0])
        raise ValueError(f"colour {colour} is not in the palette: give class ids as 'semantic', or images as drawn")
    return found.astype(np.uint8)
