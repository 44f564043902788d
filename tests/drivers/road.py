"""A drawn road for drivers."""

from __future__ import annotations

import numpy as np

from learned_sim_env.rendering.palette import colourise
from learned_sim_env.spec import SemanticClass

EGO = np.array([[8.0, 0.0, 0.0, 0.0, 1.0, 0.1]], np.float32)
YES, NO = np.ones(1, bool), np.zeros(1, bool)


def road(row: int | None = None) -> np.ndarray:
    """(1, 64, 64) class ids of a road, with a car whose near end is in `row`."""
    view = np.full((1, 64, 64), SemanticClass.ROAD, np.uint8)
    if row is not None:
        view[0, row - 4 : row + 1, 31:34] = SemanticClass.VEHICLE
    return view


def seen(view: np.ndarray, ego: np.ndarray = EGO) -> dict[str, np.ndarray]:
    """What a driver is given."""
    return {"bev": colourise(view), "ego": ego}
