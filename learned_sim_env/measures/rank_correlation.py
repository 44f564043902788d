"""Whether two lists put the same things in the same order, in many small cases at once."""

from __future__ import annotations

import numpy as np

from learned_sim_env.measures.bootstrap import ratio

# Of fewer things any order is likely by chance.
LEAST = 3


def spearman(x: np.ndarray, y: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Spearman's rho: the correlation of ranks, ties sharing theirs.

    It cannot show how far apart the values are, and weighs a swap of neighbours little however much they differ.

    Args:
        x, y: (..., A) float.
        counted: (..., A) bool, which of the A things are compared.

    Returns:
        (...,) float64 in [-1, 1]; 0 where x or y has one value only, NaN where fewer than `LEAST` things are counted.
    """
    ranks = [
        0.5 * (_pairs(values, counted) > 0).sum(-1) - 0.5 * (_pairs(values, counted) < 0).sum(-1) for values in (x, y)
    ]
    return _cosine(ranks[0], ranks[1], counted)


def kendall(x: np.ndarray, y: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Kendall's tau-b: pairs in the same order minus pairs in opposite order, over the pairs that are not tied.

    Arguments, result and blindness are those of `spearman`, but that every pair weighs the same.
    """
    signs = [np.sign(_pairs(values, counted)).reshape(*counted.shape[:-1], -1) for values in (x, y)]
    return _cosine(signs[0], signs[1], counted)


def _pairs(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """(..., A, A): by how much each value exceeds each, 0 unless both are counted."""
    both = counted[..., :, None] & counted[..., None, :]
    return np.where(both, values[..., :, None] - values[..., None, :], 0.0)


def _cosine(a: np.ndarray, b: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Of vectors (..., M) whose mean is 0 by construction, which makes it their correlation."""
    size = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    found = np.where(size > 0, ratio((a * b).sum(-1), size), 0.0)
    return np.where(counted.sum(-1) >= LEAST, found, np.nan)
