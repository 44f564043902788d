"""How far the imagined ego is from where the same actions truly led."""

from __future__ import annotations

import numpy as np

from learned_sim_env.measures.bootstrap import ratio


def mean_at(weights: np.ndarray, error: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Mean error at each step, over the windows that reach it; of distances, the final displacement error (FDE).

    It cannot show what lies between: a path that strays and returns has no final error. Windows whose episode ends
    before the step are left out, so the hardest moments, crashes, count only before they happen.

    Args:
        weights: (R, N) float.
        error: (N, T) float.
        valid: (N, T) bool, true up to some step and false from then on.

    Returns:
        (R, T) float64 in the unit of `error`; NaN at steps that no window reaches.
    """
    return ratio(weights @ np.where(valid, error, 0.0), weights @ valid)


def mean_until(weights: np.ndarray, error: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Mean error over all steps up to each, over the windows that reach it; of distances, the ADE.

    It cannot show when the error arose, and rewards slow driving: the same relative error is smaller on a shorter path.
    Arguments and result are those of `mean_at`.
    """
    return mean_at(weights, error.cumsum(1) / np.arange(1, error.shape[1] + 1), valid)
