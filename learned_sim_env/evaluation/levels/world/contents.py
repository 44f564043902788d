"""What is met on drives, per kilometre or per view: counted alike in dreams and in the simulator, from what is seen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from learned_sim_env.evaluation.drives.drives import Drives
from learned_sim_env.measures.bootstrap import Estimate, ratio
from learned_sim_env.measures.road_shape import arms, implausible, rim_to_area
from learned_sim_env.spec import BevSpec, SemanticClass

C = SemanticClass
# Roads that leave a view at a junction, or where a ramp runs beside; a turn is sharper than this radius [m].
JUNCTION, BEND = 3, 60.0
# [m/s] Below this a yaw rate says nothing about the road.
SLOW = 1.0
# [pixels] Ahead of the ego, where the roadway's width is read; what may lie between the edges of the route.
AHEAD = 10
ON_THE_ROUTE = (C.ROUTE, C.BROKEN_LINE, C.STATIC_OBJECT, C.VEHICLE, C.PEDESTRIAN, C.EGO)


class Measure(NamedTuple):
    """A quotient of sums over moments. most: by which share the dream's may differ from the simulator's; None: it is
    told, and nothing is asked.
    """

    name: str
    digits: int
    most: float | None


MEASURES = (
    Measure("junctions and ramps per km", 2, 0.25),
    Measure("bends per km", 2, 0.25),
    Measure("roadway of the route [m]", 2, 0.25),
    Measure("vehicles per km of view", 1, 0.25),
    Measure("objects per km of view", 2, 0.25),
    Measure("rim to area of roads [1/m]", 4, 0.10),
    Measure("implausible pixels [%]", 3, None),
)


class Counts(NamedTuple):
    """Numerators and denominators (M, N, A) float64 of `MEASURES` at A moments of N drives."""

    numerators: np.ndarray
    denominators: np.ndarray

    def over(self, weights: np.ndarray, moments: np.ndarray) -> Estimate:
        """(M,) of some moments (A,) bool of drives that count as often as `weights` (R, N)."""
        over, under = (weights @ part[..., moments].sum(-1).T for part in self)
        return Estimate.of(ratio(over, under))


def count(drives: Drives, running: np.ndarray, seconds: np.ndarray, bev: BevSpec) -> Counts:
    """What is met at moments (N, A) bool of drives, the first of which has nothing before it.

    seconds: (A,) since the moment before.
    """
    n, ages = running.shape
    assert drives.views is not None, "the level needs a model that draws them"
    flat = drives.views.reshape(n * ages, *drives.views.shape[2:])
    metres, view_km = bev.metres_per_pixel, bev.height * bev.metres_per_pixel / 1000
    speed, yaw_rate = drives.ego[..., 0].astype(np.float64), drives.ego[..., 1].astype(np.float64)
    km = np.where(running, np.maximum(speed, 0) * seconds / 1000, 0.0)

    def each(values: np.ndarray) -> np.ndarray:
        return np.where(running, values.reshape(n, ages), np.nan)

    bends = np.abs(yaw_rate) > np.maximum(speed, SLOW) / BEND
    over_distance = [_begun(each(arms(flat)) >= JUNCTION), _begun(bends & (speed > SLOW) & running)]
    over_moments = [
        each(_route_width(flat, bev)),
        each(_blobs(flat, C.VEHICLE)) / view_km,
        each(_blobs(flat, C.STATIC_OBJECT)) / view_km,
        each(rim_to_area(flat)) / metres,
        each(implausible(flat)) * 100,
    ]
    numerators = [*(part.astype(np.float64) for part in over_distance), *map(np.nan_to_num, over_moments)]
    denominators = [*(km for _ in over_distance), *(np.isfinite(part).astype(np.float64) for part in over_moments)]
    return Counts(np.stack(numerators), np.stack(denominators))


def _begun(there: np.ndarray) -> np.ndarray:
    """(N, A) bool: where something begins that is there for two moments or more (N, A)."""
    before = np.pad(there, ((0, 0), (1, 0)))[:, :-1]
    after = np.pad(there, ((0, 0), (0, 1)))[:, 1:]
    begun = there & after & ~before
    # What is there from the first moment on did not come while driving.
    begun[:, 0] = False
    return begun


def _route_width(views: np.ndarray, bev: BevSpec) -> np.ndarray:
    """(N,) [m]: how wide the route's roadway is ahead of the ego; NaN where it is not there, or not all in view."""
    row, column = bev.ego_row - AHEAD, bev.ego_column
    on = np.isin(views[:, row], ON_THE_ROUTE)
    left = np.cumprod(on[:, column::-1], 1).sum(1)
    right = np.cumprod(on[:, column:], 1).sum(1)
    whole = (left > 0) & (left < column + 1) & (right < on.shape[1] - column)
    return np.where(whole, (left + right - 1) * bev.metres_per_pixel, np.nan)


def _blobs(views: np.ndarray, kind: SemanticClass) -> np.ndarray:
    """(N,) float64: connected patches of a class; what touches counts once."""
    import cv2

    counts = np.zeros(len(views))
    for i in np.flatnonzero((views == kind).any((1, 2))):
        counts[i] = cv2.connectedComponents((views[i] == kind).astype(np.uint8))[0] - 1
    return counts
