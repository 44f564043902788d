"""Whether a road is where it was on the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.evaluation.levels import Level, LevelInputs
from learned_sim_env.measures.needs import Needs

if TYPE_CHECKING:
    from learned_sim_env.reporting.parts import Part


NEEDS = Needs(draws=("bev",), capabilities=("MapModel", "MovableEgo"))


def _measure(inputs: LevelInputs) -> tuple[Part, ...]:
    from learned_sim_env.evaluation.levels.return_trip.return_trip import return_trip

    return (return_trip(inputs.checkpoint),)


LEVEL = Level(
    name="return_trip",
    question="is a road where it was on the way back?",
    requirements="a model that remembers a map, can place its ego elsewhere in it, and draws the view from above",
    measure=_measure,
    needs=NEEDS,
)
