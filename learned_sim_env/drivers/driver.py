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
    on other rows. An attribute `observes` names the modalities that it needs; without, these are "bev" and "ego".
    """

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """Actions (n, 2) float32 in [-1, 1]; `began` (n,) bool: rows whose episode begins here."""
        ...


def observed_by(driver: Driver) -> tuple[str, ...]:
    """The modalities that the driver needs."""
    return tuple(getattr(driver, "observes", ("bev", "ego")))


def needs_bev(driver: Driver) -> bool:
    """Whether the view from above is among them."""
    return "bev" in observed_by(driver)
