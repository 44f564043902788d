"""The cross-entropy method (Rubinstein 1999): the best of what was drawn say where to draw next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from learned_sim_env.agents.planning.planner import Planner
from learned_sim_env.agents.planning.planner_settings import PlannerSettings
from learned_sim_env.agents.planning.search import Drawn, Plan, Refit, about, best
from learned_sim_env.settings import check_shares


@dataclass(frozen=True, kw_only=True)
class CEMSettings(PlannerSettings):
    """Settings of `CEM`."""

    momentum: float = 0.1
    """Share of the last mean and deviation that is kept."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shares(self, "momentum")


def kept(before: Plan, found: Plan, momentum: float) -> Plan:
    """`found`, but for a share of what was before."""
    mix = (1 - momentum, momentum)
    return Plan(
        *(mix[0] * new + mix[1] * old for new, old in ((found.mean, before.mean), (found.deviation, before.deviation)))
    )


def cem_refit(elites: int, momentum: float) -> Refit:
    """Elites by return, all alike."""

    def refit(drawn: Drawn, before: Plan) -> Plan:
        return kept(before, about(drawn.plans[best(drawn.returns, elites)], np.ones(elites)), momentum)

    return refit


class CEM(Planner):
    """See the module's docstring; the interface is `agent.Agent`."""

    settings_class: ClassVar[type[Any]] = CEMSettings

    @staticmethod
    def refit(settings: CEMSettings) -> Refit:
        """See `Planner`."""
        return cem_refit(settings.elites, settings.momentum)
