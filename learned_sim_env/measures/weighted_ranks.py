"""Whether one quantity rises with another, over all steps and among windows at the same step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from learned_sim_env.measures.bootstrap import ratio

# From weights (R, M) and two arrays (M,) to (R,).
Metric = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

# [numbers] Replicates are worked through in parts of about this size.
_PART = 4_000_000


def weighted_spearman(weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation; ties share their mean rank.

    It cannot show by how much one rises with the other, and few large errors among many small ones hardly count.

    Args:
        weights: (R, N) float.
        x, y: (N,) float.

    Returns:
        (R,) float64 in [-1, 1]; NaN where one of the two never changes.
    """
    a, b = _centred_ranks(weights, x), _centred_ranks(weights, y)
    return ratio((weights * a * b).sum(1), np.sqrt((weights * a**2).sum(1) * (weights * b**2).sum(1)))


def over_all(metric: Metric, weights: np.ndarray, x: np.ndarray, y: np.ndarray, known: np.ndarray) -> np.ndarray:
    """A metric over all known steps of all windows, (R,).

    weights: (R, N). x, y: (N, T). known: (N, T) bool.
    """
    window = known.nonzero()[0]
    parts = np.array_split(weights, -(-len(weights) * max(len(window), 1) // _PART))
    return np.concatenate([metric(part[:, window], x[known], y[known]) for part in parts])


def by_step(metric: Metric, weights: np.ndarray, x: np.ndarray, y: np.ndarray, known: np.ndarray) -> np.ndarray:
    """A metric among the windows at each step, (R, T), so that what merely grows with time gains nothing.

    Arguments are those of `over_all`; NaN where no window is known.
    """
    found = np.full((len(weights), known.shape[1]), np.nan)
    for t in np.flatnonzero(known.any(0)):
        found[:, t] = over_all(metric, weights, x[:, t, None], y[:, t, None], known[:, t, None])
    return found


def over_steps(values: np.ndarray, importance: np.ndarray) -> np.ndarray:
    """Mean of values (R, T) over the steps at which they are defined, weighted by importance (T,): (R,) float64.

    NaN where there are none.
    """
    return ratio(np.nansum(values * importance, 1), (~np.isnan(values)) @ importance)


def _centred_ranks(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(R, N) ranks less their weighted mean."""
    order = np.argsort(x, kind="stable")
    new = np.diff(x[order], prepend=-np.inf) > 0
    if not len(x):
        return np.zeros_like(weights)
    counts = np.add.reduceat(weights[:, order], np.flatnonzero(new), axis=1)
    middle = counts.cumsum(1) - counts / 2
    ranks = np.empty(weights.shape)
    ranks[:, order] = middle[:, new.cumsum() - 1]
    # The mean rank is the same whatever the ties.
    return ranks - weights.sum(1, keepdims=True) / 2
