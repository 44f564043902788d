"""Level 2 of the ladder, of cameras: whether the picture answers to the action."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.evaluation.levels import Level, LevelInputs

if TYPE_CHECKING:
    from learned_sim_env.reporting.parts import Part
    from learned_sim_env.world_model.checkpoint import Checkpoint


def _measure(inputs: LevelInputs) -> tuple[Part, ...]:
    from learned_sim_env.evaluation.levels.camera_actions.answers_part import measure_answers

    return (measure_answers(inputs.checkpoint, inputs.data, inputs.folder / "estimator"),)


def _more_needs(checkpoint: Checkpoint) -> str | None:
    from learned_sim_env.evaluation.levels.cameras import LEVEL as CAMERAS

    return CAMERAS.reason_not_applicable(checkpoint)


LEVEL = Level(
    name="camera_actions",
    question="does the picture answer to the action?",
    requirements="a model that draws cameras; recorded episodes with their frames, to learn to read motion from",
    measure=_measure,
    more_needs=_more_needs,
)
