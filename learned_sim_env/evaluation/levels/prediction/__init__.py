"""Level 1 of the ladder: what is predicted against what was recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.evaluation.levels import Level, LevelInputs

if TYPE_CHECKING:
    from learned_sim_env.reporting.parts import Part


def _measure(inputs: LevelInputs) -> tuple[Part, ...]:
    from learned_sim_env.evaluation.levels.prediction.prediction import PredictionConfig, measure_prediction

    return measure_prediction(inputs.checkpoint, inputs.data, PredictionConfig(batch_size=inputs.batch_size))


LEVEL = Level(
    name="prediction",
    question="how far ahead is each prediction good?",
    needs="a model that draws the bird's-eye view; recorded episodes with other road users and scenario tags",
    measure=_measure,
)
