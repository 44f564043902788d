"""Level 4 of the ladder: whether the uncertainty says when not to trust."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.evaluation.levels import Level, LevelInputs

if TYPE_CHECKING:
    from learned_sim_env.reporting.parts import Part


def _measure(inputs: LevelInputs) -> tuple[Part, ...]:
    from learned_sim_env.evaluation.levels.trust.trust import trust

    return (trust(inputs.checkpoint, inputs.data),)


LEVEL = Level(
    name="trust",
    question="does the uncertainty say when not to trust it?",
    requirements="recorded episodes; more is measured of a model that draws the view from above",
    measure=_measure,
)
