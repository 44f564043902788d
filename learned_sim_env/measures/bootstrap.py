"""Intervals by resampling whole episodes, because windows of one episode resemble each other.

Every metric of this package takes `weights` (R, N), how often each of N windows counts in each of R replicates, and
returns its value for each, (R, ...). Row 0 of what `resample` gives counts every window once: the data itself.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

# Percentiles of the replicates that bound an interval.
INTERVAL = (2.5, 97.5)


@dataclass(frozen=True, eq=False)
class Estimate:
    """A metric of any shape with its 95% interval, all float64; NaN where the data cannot tell.

    The interval says what other episodes of the same kind might have given. It says nothing about another training run.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @staticmethod
    def of(replicates: np.ndarray) -> Estimate:
        """From a metric of resampled weights (1 + R, ...); replicates in which it is undefined are left out."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN slice")
            low, high = np.nanpercentile(replicates[1:], INTERVAL, axis=0)
        return Estimate(replicates[0], low, high)


def resample(episode: np.ndarray, num_episodes: int, replicates: int, seed: int) -> np.ndarray:
    """Weights (1 + replicates, N) float64 of windows whose episodes are `episode` (N,) int64, below `num_episodes`."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(num_episodes, np.full(num_episodes, 1 / num_episodes), size=replicates)
    return np.concatenate([np.ones((1, len(episode))), counts[:, episode]])


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Their quotient, NaN where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator > 0)


def mean_of_known(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean over an axis of what is finite, NaN where nothing is."""
    known = np.isfinite(values)
    return ratio(np.where(known, values, 0.0).sum(axis), known.sum(axis))
