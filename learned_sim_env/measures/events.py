"""Whether the model sees it coming: collisions, leaving the road, arrival, driving against the traffic."""

from __future__ import annotations

import numpy as np

from learned_sim_env.measures.bootstrap import ratio
from learned_sim_env.spec import COST_TERMS, TERMINATIONS
from learned_sim_env.task import EVENTS

# [steps] How far ahead: one second.
WITHIN = 10
# What is forecast, by name: any of these events within `WITHIN` steps, whether or not it holds already.
FORECASTS: dict[str, tuple[str, ...]] = {
    "terminal": TERMINATIONS,
    "cost": COST_TERMS,
    **{name: (name,) for name in EVENTS},
}
# Equally wide bins of probability in which calibration is judged.
BINS = 10


def probability_within(probabilities: np.ndarray, names: tuple[str, ...], steps: int = WITHIN) -> np.ndarray:
    """(N,) probability that any of the events `names` happens within `steps`, from those of steps (N, T, 4).

    Steps and events are taken as independent, so an event announced over several steps is counted several times.
    """
    columns = [EVENTS.index(name) for name in names]
    return 1 - (1 - probabilities[:, :steps, columns].astype(np.float64)).prod((1, 2))


def happened_within(
    events: np.ndarray, valid: np.ndarray, names: tuple[str, ...], steps: int = WITHIN
) -> tuple[np.ndarray, np.ndarray]:
    """Whether any of the events `names` happened within `steps`, (N,) bool, and whether that is known, (N,) bool.

    events: (N, T, 4) bool. valid: (N, T) bool. It is unknown where recording stopped too early for another reason than
    the end of the episode.
    """
    recorded = events[:, :steps] & valid[:, :steps, None]
    happened = recorded[..., [EVENTS.index(name) for name in names]].any((1, 2))
    ended = recorded[..., [EVENTS.index(name) for name in TERMINATIONS]].any((1, 2))
    return happened, ended | valid[:, :steps].all(1)


def auroc(weights: np.ndarray, scores: np.ndarray, happened: np.ndarray) -> np.ndarray:
    """Chance that a moment before the event scores higher than one that is not; ties count half.

    It cannot show whether probabilities are right, only their order, and it hides how rare an event is: with few
    positives a good value may still mean mostly false alarms.

    Args:
        weights: (R, N) float.
        scores: (N,) float.
        happened: (N,) bool.

    Returns:
        (R,) float64 in [0, 1], 0.5 by chance; NaN where all moments are of one kind.
    """
    if happened.all() or not happened.any():
        return np.full(len(weights), np.nan)
    order = np.argsort(scores, kind="stable")
    first = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    positive, negative = (
        np.add.reduceat(weights[:, order] * is_kind[order], first, axis=1) for is_kind in (happened, ~happened)
    )
    below = negative.cumsum(1) - negative / 2
    return ratio((positive * below).sum(1), positive.sum(1) * negative.sum(1))


def calibration_error(weights: np.ndarray, probabilities: np.ndarray, happened: np.ndarray) -> np.ndarray:
    """Expected calibration error: by how much forecasts differ from frequencies, over `BINS` bins of probability.

    It cannot show whether forecasts tell moments apart: the base rate, always forecast, is perfectly calibrated.
    Small samples raise it, resampled ones more so: its interval lies high.

    Args and result as `auroc`, but 0 is best.
    """
    bins = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    member = bins[:, None] == np.arange(BINS)
    gaps = np.abs(weights @ (member * (probabilities - happened)[:, None]))
    return ratio(gaps.sum(1), weights.sum(1))
