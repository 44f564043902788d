"""Whether roads seen from above have the shape of roads: of any view, without knowing what should be there."""

from __future__ import annotations

import numpy as np

from learned_sim_env.spec import NUM_STATIC_CLASSES, SemanticClass

# [pixels] Side of the square in which most pixels decide what the one in its middle should be.
AROUND = 5
# [pixels] Road that leaves a view over less than this is no road of its own, but a sliver.
NARROW = 4


def implausible(views: np.ndarray) -> np.ndarray:
    """(N,) float64: share of a view's known pixels that no road would show.

    These are pixels of the road or beside it that most of the `AROUND` by `AROUND` known pixels around contradict, as
    at a frayed rim, in holes and in loose patches; and those of markings without any other near them. Corners of real
    junctions are counted as well: compare with real views.

    views: (N, H, W) uint8 class ids; what moves hides what is under it.
    """
    known, road = views < NUM_STATIC_CLASSES, views != SemanticClass.OFF_ROAD
    near = _around(known)
    frayed = known & (road != (2 * _around(road & known) > near))
    marked = (views == SemanticClass.BROKEN_LINE) | (views == SemanticClass.SOLID_LINE)
    lonely = marked & (_around(marked) == 1)
    return (frayed | lonely).sum((1, 2)) / np.maximum(known.sum((1, 2)), 1)


def rim_to_area(views: np.ndarray) -> np.ndarray:
    """(N,) float64 [1 / pixel]: how long the rim of all road in a view is for its area; NaN without road."""
    road = views != SemanticClass.OFF_ROAD
    rim = (road[:, 1:] != road[:, :-1]).sum((1, 2)) + (road[:, :, 1:] != road[:, :, :-1]).sum((1, 2))
    area = road.sum((1, 2))
    return np.where(area > 0, rim / np.maximum(area, 1), np.nan)


def arms(views: np.ndarray) -> np.ndarray:
    """(N,) int64: how often road leaves a view over its border, `NARROW` pixels wide or wider: 2 on a road, 3 or more
    at a junction or where roads run side by side.
    """
    road = views != SemanticClass.OFF_ROAD
    ring = np.concatenate([road[:, 0], road[:, 1:, -1], road[:, -1, -2::-1], road[:, -2:0:-1, 0]], 1)
    # Shifted so far, a pixel is on an arm if it ends a run that is wide enough.
    wide = np.stack([np.roll(ring, shift, 1) for shift in range(NARROW)]).all(0)
    return np.where(ring.all(1), 1, (wide & ~np.roll(ring, -1, 1)).sum(1))


def _around(mask: np.ndarray) -> np.ndarray:
    """(N, H, W) int32: how many of the `AROUND` by `AROUND` pixels around each are set; none beyond the border."""
    half = AROUND // 2
    sums = np.pad(mask.astype(np.int32), ((0, 0), (half + 1, half), (half + 1, half))).cumsum(1).cumsum(2)
    rows = sums[:, AROUND:] - sums[:, :-AROUND]
    return rows[:, :, AROUND:] - rows[:, :, :-AROUND]
