"""How likely what happened is under several futures, feature by feature: realism as the Sim Agents Challenge has it.

Of Montali et al., The Waymo Open Sim Agents Challenge (arXiv 2305.12032), with the bins and weights of its edition of
2025. Left out are what needs road edges, traffic lights or the time to a collision (0.45 of the weight); speeds are
differences of successive places.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

# Added to every bin's count; of yes and no, so much.
PSEUDOCOUNT, RARE = 0.1, 0.001


class Feature(NamedTuple):
    """lowest, highest: of its bins; what lies outside counts as in the last ones. weight: in the mean of all."""

    name: str
    lowest: float
    highest: float
    bins: int
    weight: float


FEATURES = (
    Feature("speed [m/s]", 0.0, 25.0, 10, 0.05),
    Feature("acceleration [m/s^2]", -12.0, 12.0, 11, 0.05),
    Feature("yaw rate [rad/s]", -0.628, 0.628, 11, 0.05),
    Feature("yaw acceleration [rad/s^2]", -3.14, 3.14, 11, 0.05),
    Feature("gap to the nearest [m]", -5.0, 40.0, 10, 0.10),
)
COLLISION, COLLISION_WEIGHT = "collision", 0.25
NAMES = (*(feature.name for feature in FEATURES), COLLISION)
WEIGHTS = np.array([*(feature.weight for feature in FEATURES), COLLISION_WEIGHT])


def features(pose: np.ndarray, gap: np.ndarray, dt: float) -> np.ndarray:
    """(..., T, 5) float64 of `FEATURES`; the first of the steps has no change of speed before it: NaN.

    pose: (..., T + 1, 3), the first one before the first step. gap: (..., T) [m] to the nearest other after each step.
    """
    change = np.diff(pose, axis=-2)
    speed = np.hypot(change[..., 0], change[..., 1]) / dt
    yaw_rate = ((change[..., 2] + np.pi) % (2 * np.pi) - np.pi) / dt
    unknown = np.full((*speed.shape[:-1], 1), np.nan)
    changes = [np.concatenate([unknown, np.diff(x, axis=-1) / dt], -1) for x in (speed, yaw_rate)]
    return np.stack([speed, changes[0], yaw_rate, changes[1], gap], -1)


def log_likelihood(futures: np.ndarray, happened: np.ndarray) -> np.ndarray:
    """(N, 6) float64: mean logarithm of the likelihood of what happened to each of N road users, see `NAMES`.

    futures: (N, S, T, 5) of S futures each, see `features`; happened: (N, T, 5). NaN where nothing is known.
    """
    n = len(futures)
    found = np.full((n, len(NAMES)), np.nan)
    for k, feature in enumerate(FEATURES):
        imagined, real = (
            _binned(values[..., k].reshape(n, math.prod(values.shape[1:-1])), feature) for values in (futures, happened)
        )
        counts = np.full((n, feature.bins), PSEUDOCOUNT)
        rows, columns = np.nonzero(imagined >= 0)
        np.add.at(counts, (rows, imagined[rows, columns]), 1.0)
        logs = np.log(counts / counts.sum(1, keepdims=True))
        known = real >= 0
        each = np.take_along_axis(logs, np.maximum(real, 0), 1)
        found[:, k] = np.divide((each * known).sum(1), known.sum(1), out=found[:, k], where=known.any(1))
    # Whether it touches anything at any time.
    touches, touched = ((values[..., -1] < 0).any(-1) for values in (futures, happened))
    share = (touches.sum(1) + RARE) / (touches.shape[1] + 2 * RARE)
    found[:, -1] = np.log(np.where(touched, share, 1 - share))
    return found


def scores(likelihood: np.ndarray, scene: np.ndarray, scenes: int) -> np.ndarray:
    """(scenes, 7) float64 in [0, 1]: geometric mean likelihoods of the road users of each scene, and last their
    weighted mean; NaN in scenes without any.

    likelihood: (N, 6), see `log_likelihood`. scene: (N,) int64.
    """
    known = np.isfinite(likelihood)
    sums = np.zeros((scenes, likelihood.shape[1]))
    counts = np.zeros_like(sums)
    np.add.at(sums, scene, np.where(known, likelihood, 0.0))
    np.add.at(counts, scene, known)
    each = np.exp(np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0))
    return np.concatenate([each, each @ WEIGHTS[:, None] / WEIGHTS.sum()], 1)


def _binned(values: np.ndarray, feature: Feature) -> np.ndarray:
    """(...) int64 numbers of bins, -1 for what is not known."""
    share = (values - feature.lowest) / (feature.highest - feature.lowest)
    known = np.isfinite(share)
    return np.where(known, (np.where(known, share, 0) * feature.bins).astype(np.int64).clip(0, feature.bins - 1), -1)
