"""Level 0 of the ladder: whether a model that runs freely stays a world."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.evaluation.levels import Level, LevelInputs

if TYPE_CHECKING:
    from learned_sim_env.reporting.parts import Part


def _measure(inputs: LevelInputs) -> tuple[Part, ...]:
    from learned_sim_env.evaluation.levels.validity.free_run import ValidityConfig
    from learned_sim_env.evaluation.levels.validity.validity import validity

    watched = min(ValidityConfig.watched, inputs.free_rows - 1)
    config = ValidityConfig(inputs.free_rows, inputs.free_steps, watched)
    return (validity(inputs.checkpoint, inputs.data, config),)


LEVEL = Level(
    name="validity",
    question="does a model that runs freely stay a world?",
    requirements="recorded episodes to compare with; more is measured of a model that draws the view from above",
    measure=_measure,
)
