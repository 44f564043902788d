"""Whether a road is where it was on the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.evaluation.levels import Level, LevelInputs

if TYPE_CHECKING:
    from learned_sim_env.reporting.parts import Part
    from learned_sim_env.world_model.checkpoint import Checkpoint


def _measure(inputs: LevelInputs) -> tuple[Part, ...]:
    from learned_sim_env.evaluation.levels.return_trip.return_trip import return_trip

    return (return_trip(inputs.checkpoint),)


def _reason_not_applicable(checkpoint: Checkpoint) -> str | None:
    from learned_sim_env.evaluation.levels.return_trip.trips import reason_without_map

    return reason_without_map(checkpoint.model)


LEVEL = Level(
    name="return_trip",
    question="is a road where it was on the way back?",
    needs="a model that remembers a map and can be placed elsewhere in it",
    measure=_measure,
    reason_not_applicable=_reason_not_applicable,
)
