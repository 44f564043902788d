"""How far a world model may be trusted: metrics with intervals, always beside a baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.evaluation.ladder import LEVELS, find_level, measure_level
from learned_sim_env.evaluation.levels import Level, LevelInputs
from learned_sim_env.optional import lazy_names

if TYPE_CHECKING:
    from learned_sim_env.evaluation.scores import Report
    from learned_sim_env.evaluation.steps_ahead import EvaluateConfig, evaluate

__all__ = ["LEVELS", "EvaluateConfig", "Level", "LevelInputs", "Report", "evaluate", "find_level", "measure_level"]

# They load torch.
__getattr__ = lazy_names(
    __name__,
    {
        "EvaluateConfig": "learned_sim_env.evaluation.steps_ahead",
        "evaluate": "learned_sim_env.evaluation.steps_ahead",
        "Report": "learned_sim_env.evaluation.scores",
    },
)
