"""Model-predictive path integral control, as TD-MPC2 plans (Hansen et al. 2024, arXiv 2310.16828, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from learned_sim_env.agents.planning.planner import Planner
from learned_sim_env.agents.planning.planner_settings import PlannerSettings
from learned_sim_env.agents.planning.search import Drawn, Plan, Refit, about, best


@dataclass(frozen=True, kw_only=True)
class MPPISettings(PlannerSettings):
    """Settings of `MPPI`."""

    sharpness: float = 0.5
    """How much more an elite counts whose return is larger by 1: its weight is e to this power larger."""


def mppi_refit(elites: int, sharpness: float) -> Refit:
    """Elites weighted by e to the power of their returns."""

    def refit(drawn: Drawn, before: Plan) -> Plan:
        chosen = best(drawn.returns, elites)
        returns = drawn.returns[chosen]
        return about(drawn.plans[chosen], np.exp(sharpness * (returns - returns.max())))

    return refit


class MPPI(Planner):
    """See the module's docstring; the interface is `agent.Agent`."""

    settings_class: ClassVar[type[Any]] = MPPISettings

    @staticmethod
    def refit(settings: MPPISettings) -> Refit:
        """See `Planner`."""
        return mppi_refit(settings.elites, settings.sharpness)
