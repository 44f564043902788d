"""Level 1 of the ladder, of cameras over time: half a minute of driving in the dream and in its twin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.evaluation.levels import Level, LevelInputs

if TYPE_CHECKING:
    from learned_sim_env.reporting.parts import Part
    from learned_sim_env.world_model.checkpoint import Checkpoint


def _measure(inputs: LevelInputs) -> tuple[Part, ...]:
    from learned_sim_env.evaluation.drives.drives import DrivesConfig
    from learned_sim_env.evaluation.levels.camera_drives.drives_part import measure_drives

    config = DrivesConfig(steps=inputs.drive_steps)
    return measure_drives(
        inputs.checkpoint, inputs.data, inputs.folder / "drives", inputs.workers, config, inputs.beside
    )


def _more_needs(checkpoint: Checkpoint) -> str | None:
    from learned_sim_env.evaluation.drives.twin_drives import reason_without_twin
    from learned_sim_env.evaluation.levels.cameras import LEVEL as CAMERAS

    return reason_without_twin(checkpoint) or CAMERAS.reason_not_applicable(checkpoint)


LEVEL = Level(
    name="camera_drives",
    question="do imagined camera frames stay such as the simulator's, while a driver drives on?",
    requirements="a model that draws cameras; MetaDrive as the twin",
    measure=_measure,
    more_needs=_more_needs,
)
