"""Whether imagined rewards rise and fall with the true ones."""

from __future__ import annotations

import numpy as np

from learned_sim_env.measures.bootstrap import ratio
from learned_sim_env.spec import TERMINATIONS, RewardSpec
from learned_sim_env.task import EVENTS, GRADED_TERMS, outcome


def expected_reward(terms: np.ndarray, events: np.ndarray, reward: RewardSpec) -> np.ndarray:
    """(N, T) reward of graded terms (N, T, 4) and events (N, T, 4), which are probabilities or what happened."""
    nothing = np.zeros((len(EVENTS), len(GRADED_TERMS)), np.float32)
    # The reward adds up, so that of an event is its probability times what it is worth alone.
    worth = outcome(nothing, np.eye(len(EVENTS), dtype=bool), reward).reward
    return terms.sum(-1) + events @ worth


def still_running(events: np.ndarray) -> np.ndarray:
    """(N, T) float64: probability that no step before has ended the episode, from events (N, T, 4), probabilities or
    what happened. Given the futures of others, steps are taken as independent.
    """
    ending = events[..., [EVENTS.index(name) for name in TERMINATIONS]].astype(np.float64)
    going_on = np.cumprod((1 - ending).prod(-1), 1)
    return np.concatenate([np.ones((len(events), 1)), going_on[:, :-1]], 1)


def foreseen_reward(terms: np.ndarray, events: np.ndarray, reward: RewardSpec) -> np.ndarray:
    """(N, T) float64 `expected_reward`, as far as the episode is expected to be `still_running`."""
    return still_running(events) * expected_reward(terms, events, reward)


def pearson(weights: np.ndarray, predicted: np.ndarray, true: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Correlation over all valid steps.

    It cannot show a wrong scale or offset, and one rare large value (a crash) can outweigh all the rest.

    Args:
        weights: (R, N) float.
        predicted, true: (N, T) float.
        valid: (N, T) bool.

    Returns:
        (R,) float64 in [-1, 1]; NaN where one of the two never changes.
    """
    x, y = _standardised(predicted, valid), _standardised(true, valid)
    sums = np.stack([valid, x, y, x * x, y * y, x * y], -1).sum(1)
    n, sx, sy, sxx, syy, sxy = (weights @ sums).T
    spread = np.maximum(n * sxx - sx**2, 0) * np.maximum(n * syy - sy**2, 0)
    return ratio(n * sxy - sx * sy, np.sqrt(spread))


def _standardised(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """(N, T) float64 with mean 0 and deviation 1 where `valid`, 0 elsewhere; all 0 if nothing but rounding varies."""
    known = values[valid].astype(np.float64)
    spread = known.std()
    if spread <= 1e-6 * np.abs(known).max():
        return np.zeros(values.shape)
    return np.where(valid, (values - known.mean()) / spread, 0.0)
