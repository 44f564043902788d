"""What every driver keeps to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

# Observations of obs_type "dict" of n rows: "bev" (n, H, W, 3) uint8, "ego" (n, 6) float32.
Observations = Mapping[str, np.ndarray]


class Driver(Protocol):
    """Drives n rows that advance together, always the same ones.

    What it does in a row depends on what was observed there since the row's episode began and on the row's seed, never
    on other rows. A driver whose attribute `needs_bev` is False can do without "bev".
    """

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """Actions (n, 2) float32 in [-1, 1]; `began` (n,) bool: rows whose episode begins here."""
        ...


def needs_bev(driver: Driver) -> bool:
    """Whether the driver needs "bev"."""
    return bool(getattr(driver, "needs_bev", True))
