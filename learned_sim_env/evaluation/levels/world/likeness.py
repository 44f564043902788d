"""Whether what is seen at an age is such as the simulator shows, all views taken together; and whether doubt tells."""

from __future__ import annotations

import numpy as np

from learned_sim_env.measures.bootstrap import INTERVAL, Estimate
from learned_sim_env.measures.events import auroc
from learned_sim_env.measures.frechet import COMPONENTS, Whitening, frechet_distance, view_features
from learned_sim_env.measures.road_shape import implausible

# Random halvings of the drives; views needed for each principal component.
HALVINGS, PER_COMPONENT = 40, 4
# A view is implausible if it is more so than this share of the simulator's.
RARE = 0.99


def distances(dream: np.ndarray, twin: np.ndarray, lasting: tuple[np.ndarray, np.ndarray], seed: int) -> np.ndarray:
    """(HALVINGS, 2) float64: Frechet distance of the views of dreams, and of the simulator's, from the simulator's of
    other scenarios.

    dream, twin: (N, h, w) views of the same scenarios. lasting: (N,) bool each, whether a drive is still under way.
    """
    found = np.full((HALVINGS, 2), np.nan)
    few = min(int(there.sum()) for there in lasting)
    components = min(few // 2 // PER_COMPONENT, COMPONENTS)
    if components < 1:
        return found
    features = [view_features(views).astype(np.float64) for views in (dream, twin)]
    whiten = Whitening.of(features[1][lasting[1]], components)
    white = [whiten(values) for values in features]
    rng = np.random.default_rng(seed)
    for i in range(HALVINGS):
        one = rng.permutation(len(dream)) < len(dream) // 2
        rows = [one & lasting[0], one & lasting[1], ~one & lasting[1]]
        # As many of each, or fewer views would be farther apart for being few.
        size = min(int(some.sum()) for some in rows)
        if size < 2:
            continue
        a, b, real = (rng.permutation(np.flatnonzero(some))[:size] for some in rows)
        found[i] = [frechet_distance(values, white[1][real]) for values in (white[0][a], white[1][b])]
    return found


def spread(values: np.ndarray) -> Estimate:
    """Median and interval of (HALVINGS, ...)."""
    if not np.isfinite(values).any(0).all():
        return Estimate(*(np.full(values.shape[1:], np.nan) for _ in range(3)))
    return Estimate(*np.nanpercentile(values, (50, *INTERVAL), axis=0))


def told(weights: np.ndarray, dream: np.ndarray, doubt: np.ndarray, where: np.ndarray, twin: np.ndarray) -> Estimate:
    """AUROC: the chance that of two moments of dreams the one that is implausible is doubted more.

    Args:
        weights: (R, N) of drives. dream: (N, A, h, w) views. doubt: (N, A). where: (N, A) bool, moments that count.
        twin: (M, h, w), the simulator's.
    """
    limit = np.quantile(implausible(twin), RARE) if len(twin) else np.nan
    drive, _ = np.nonzero(where)
    return Estimate.of(auroc(weights[:, drive], doubt[where], implausible(dream[where]) > limit))
