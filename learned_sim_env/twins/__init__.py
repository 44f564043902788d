"""Two environments of one contract, driven alike and compared: dream and twin, or two simulators."""

from __future__ import annotations

from learned_sim_env.twins.comparison_page import compare
from learned_sim_env.twins.driven_episodes import ComparisonPlan, DrivenEpisode, drive
from learned_sim_env.twins.pairing import Pair, PairMoment, open_twin

__all__ = ["ComparisonPlan", "DrivenEpisode", "Pair", "PairMoment", "compare", "drive", "open_twin"]
