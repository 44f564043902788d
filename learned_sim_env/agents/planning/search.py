"""Search for a plan: a sequence of decisions drawn again and again, nearer and nearer to what was good.

Planners differ in how the next distribution follows from what was drawn (`Refit`), see `mppi`, `cem` and `osrp`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from learned_sim_env.settings import check_at_least


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How a plan is searched for."""

    sequences: int = 128
    """Plans drawn in an iteration."""
    elites: int = 16
    """Of them, those that the next iteration is drawn about."""
    iterations: int = 3
    """Times they are drawn."""
    first: float = 0.5
    """Standard deviation to begin with."""
    least: float = 0.05
    """Standard deviation that is kept."""

    def __post_init__(self) -> None:
        check_at_least(self, sequences=1, elites=1, iterations=1)
        if self.elites > self.sequences or not 0 < self.least <= self.first:
            raise ValueError(
                f"elites {self.elites} must be at most sequences {self.sequences}, and 0 < least {self.least} <= first "
                f"{self.first}"
            )


@dataclass(frozen=True, eq=False)
class Plan:
    """A distribution of plans: mean, deviation, (D, 2) of D decisions of two numbers in [-1, 1]."""

    mean: np.ndarray
    deviation: np.ndarray

    def later(self, hold: int, first: float) -> Plan:
        """Where to search one step later, if each decision is held for `hold` steps; with `first` as its deviation."""
        following = np.concatenate([self.mean[1:], self.mean[-1:]])
        return Plan(self.mean + (following - self.mean) / hold, np.full_like(self.mean, first))


@dataclass(frozen=True, eq=False)
class Drawn:
    """Plans (N, D, 2) float32 that were drawn, and what came of each: returns, costs, (N,)."""

    plans: np.ndarray
    returns: np.ndarray
    costs: np.ndarray


# Returns (N,) and costs (N,) of plans (N, D, 2).
Evaluate = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


class Refit(Protocol):
    """The next distribution of plans, from the last one and what was drawn from it."""

    def __call__(self, drawn: Drawn, before: Plan) -> Plan:
        """See the class; the deviation may be too small, `search` keeps `SearchSettings.least`."""
        ...


def search(
    evaluate: Evaluate,
    refit: Refit,
    begin: Plan,
    settings: SearchSettings,
    chance: np.random.Generator,
    proposals: np.ndarray | None = None,
) -> Plan:
    """A better plan than `begin`.

    Args:
        evaluate: what comes of plans; `settings.sequences` of them at a time.
        refit: see `Refit`.
        begin: where to search first; its mean is the first plan that is tried.
        settings: see `SearchSettings`.
        chance: of what is drawn.
        proposals: (n, D, 2) plans of others, such as a policy, tried in every iteration in place of some that are
            drawn.
    """
    plan, given = begin, np.zeros((0, *begin.mean.shape), np.float32) if proposals is None else proposals
    for _ in range(settings.iterations):
        noise = chance.standard_normal((settings.sequences - len(given), *plan.mean.shape))
        noise[:1] = 0
        plans = np.concatenate([given, plan.mean + plan.deviation * noise]).clip(-1, 1).astype(np.float32)
        found = refit(Drawn(plans, *evaluate(plans)), plan)
        plan = Plan(found.mean, np.maximum(found.deviation, settings.least))
    return plan


def best(scores: np.ndarray, count: int) -> np.ndarray:
    """(count,) indices of the highest of scores (N,), the highest first."""
    return np.argsort(-scores, kind="stable")[:count]


def about(plans: np.ndarray, weights: np.ndarray) -> Plan:
    """Weighted mean and deviation of plans (n, D, 2), weights (n,)."""
    share = (weights / weights.sum())[:, None, None]
    mean = (share * plans).sum(0)
    return Plan(mean, np.sqrt((share * (plans - mean) ** 2).sum(0)))
