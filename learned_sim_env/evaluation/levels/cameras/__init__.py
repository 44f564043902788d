"""Level 1 of the ladder, of cameras: imagined frames against recorded ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.evaluation.levels import Level, LevelInputs
from learned_sim_env.measures.needs import listed

if TYPE_CHECKING:
    from learned_sim_env.reporting.parts import Part
    from learned_sim_env.world_model.checkpoint import Checkpoint


def _measure(inputs: LevelInputs) -> tuple[Part, ...]:
    from learned_sim_env.evaluation.levels.cameras.frames_part import CamerasConfig, measure_cameras

    config = CamerasConfig(batch_size=inputs.batch_size)
    return measure_cameras(inputs.checkpoint, inputs.data, config, inputs.beside)


def _more_needs(checkpoint: Checkpoint) -> str | None:
    model = checkpoint.model
    if any(model.contract.modality(name).kind == "rgb" for name in model.draws):
        return None
    return f"{type(model).__name__} draws {listed(model.draws)}, no camera"


LEVEL = Level(
    name="cameras",
    question="how far ahead are imagined camera frames good, do they agree, and what is seen in them?",
    requirements="a model that draws cameras; recorded episodes with their frames",
    measure=_measure,
    more_needs=_more_needs,
)
