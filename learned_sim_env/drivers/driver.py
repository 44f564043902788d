"""What every driver keeps to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

# Observations of obs_type "dict" of n rows, by modality: pictures (n, H, W, 3) uint8, vectors (n, *shape) float32.
Observations = Mapping[str, np.ndarray]


class Driver(Protocol):
    """Drives n rows that advance together, always the same ones.

    What it does in a row depends on what was observed there since the row's episode began and on the row's seed, never
    on other rows. A driver whose attribute `needs_bev` is False can do without "bev"; one that is to be
    shown other modalities than "bev" and "ego" names all of them in an attribute `observes`.
    """

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """Actions (n, 2) float32 in [-1, 1]; `began` (n,) bool: rows whose episode begins here."""
        ...


def observed_by(driver: Driver) -> tuple[str, ...]:
    """The modalities that the driver needs."""
    named = getattr(driver, "observes", None)
    if named is not None:
        return tuple(named)
    return ("bev", "ego") if getattr(driver, "needs_bev", True) else ("ego",)


def needs_bev(driver: Driver) -> bool:
    """Whether the driver needs "bev"."""
    return "bev" in observed_by(driver)
