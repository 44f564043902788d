"""The gap to the next obstacle ahead, read from the view."""

from __future__ import annotations

import numpy as np

from learned_sim_env.rendering.palette import classes_of
from learned_sim_env.spec import CONTRACTS, SemanticClass

BEV = CONTRACTS["driving"].bev
# [pixels] on either side of the ego's column within which an obstacle is ahead; [m] from the ego's centre to its front.
LANE_PIXELS, FRONT = 1, 2.5
# Classes that one can run into.
IN_THE_WAY = (SemanticClass.STATIC_OBJECT, SemanticClass.VEHICLE, SemanticClass.PEDESTRIAN)


def gaps_ahead(views: np.ndarray) -> np.ndarray:
    """Metres from the egos' fronts to the next obstacle straight ahead; infinite if there is none.

    Args:
        views: (n, H, W, 3) uint8 in the palette, or (n, H, W) uint8 class ids.

    Returns:
        (n,) float32.

    Raises:
        ValueError: for a colour that is not in the palette.
    """
    lane = views[:, : BEV.ego_row, BEV.ego_column - LANE_PIXELS : BEV.ego_column + LANE_PIXELS + 1]
    taken: np.ndarray = np.isin(classes_of(lane) if views.ndim == 4 else lane, IN_THE_WAY)
    occupied = np.any(taken, axis=2)
    nearest = BEV.ego_row - 1 - occupied[:, ::-1].argmax(1)
    gap = (BEV.ego_row - nearest) * BEV.metres_per_pixel - FRONT
    return np.where(occupied.any(1), gap, np.inf).astype(np.float32)
