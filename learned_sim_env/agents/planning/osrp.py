"""SafeDreamer's online safety-reward planning (Huang et al. 2023, arXiv 2307.07176, algorithm 1): OSRP and OSRP-Lag.

Plans whose expected cost is below the limit compete by return; where there are too few of them, all compete by cost.
With OSRP-Lag, they compete by return less the price of their cost, and the price rises while the elites cost too much:
by a PID controller, which takes a step in every iteration of the search and begins anew with every episode.

The elites are exactly those that the rule names. (In the authors' code an index that was padded with 0 stands for the
first plan, which may so come among the safe ones whatever it costs.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from learned_sim_env.agents.actor_critic.lagrangian import MultiplierSettings, multiplier
from learned_sim_env.agents.planning.cem import CEMSettings, kept
from learned_sim_env.agents.planning.planner import Planner
from learned_sim_env.agents.planning.search import Drawn, Plan, Refit, about, best


@dataclass(frozen=True, kw_only=True)
class OSRPSettings(CEMSettings):
    """Settings of `OSRP`; a safe-dreamer as `guide` tells the cost beyond the end of a plan."""

    cost_weight: float = 0.0
    """Of a crash, subtracted from the reward; here the limit is what counts."""
    wrong_way_weight: float = 0.0
    """Of a step against the traffic, likewise."""
    cost_limit: float = 0.1
    """Discounted cost to come that a plan may have."""


@dataclass(frozen=True, kw_only=True)
class OSRPLagSettings(OSRPSettings):
    """Settings of `OSRPLag`."""

    multiplier: MultiplierSettings = field(default_factory=MultiplierSettings)
    """How the price of cost is found."""


def safest(drawn: Drawn, elites: int, limit: float) -> np.ndarray:
    """(elites,) indices of the best by return among the safe, or of the safest if fewer than that are safe."""
    safe = np.flatnonzero(drawn.costs <= limit)
    if len(safe) < elites:
        return best(-drawn.costs, elites)
    return safe[best(drawn.returns[safe], elites)]


def osrp_refit(settings: OSRPSettings) -> Refit:
    """The elites of `safest`, all alike."""

    def refit(drawn: Drawn, before: Plan) -> Plan:
        chosen = safest(drawn, settings.elites, settings.cost_limit)
        return kept(before, about(drawn.plans[chosen], np.ones(len(chosen))), settings.momentum)

    return refit


def osrp_lag_refit(settings: OSRPLagSettings) -> Refit:
    """Elites by return less the price of cost, which follows from what they cost."""
    controller, price = multiplier(settings.multiplier), 0.0

    def refit(drawn: Drawn, before: Plan) -> Plan:
        nonlocal price
        chosen = best(drawn.returns - price * drawn.costs, settings.elites)
        price = controller.update(float(drawn.costs[chosen].mean()) - settings.cost_limit)
        return kept(before, about(drawn.plans[chosen], np.ones(len(chosen))), settings.momentum)

    return refit


class OSRP(Planner):
    """See the module's docstring; the interface is `agent.Agent`."""

    settings_class: ClassVar[type[Any]] = OSRPSettings
    progress: ClassVar[tuple[str, ...]] = ("reward", "cost", "milliseconds")

    @staticmethod
    def refit(settings: Any) -> Refit:
        """See `Planner`."""
        return osrp_refit(settings)


class OSRPLag(OSRP):
    """See the module's docstring; the interface is `agent.Agent`."""

    settings_class: ClassVar[type[Any]] = OSRPLagSettings

    @staticmethod
    def refit(settings: Any) -> Refit:
        """See `Planner`."""
        return osrp_lag_refit(settings)
