"""Level 1 of the ladder, of cameras over time: half a minute of driving in the dream and in its twin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.evaluation.levels import Level, LevelInputs

if TYPE_CHECKING:
    from learned_sim_env.reporting.parts import Part
    from learned_sim_env.world_model.checkpoint import Checkpoint


def _measure(inputs: LevelInputs) -> tuple[Part, ...]:
    from learned_sim_env.evaluation.levels.camera_drives.drives_part import measure_drives

    return measure_drives(inputs.checkpoint, inputs.data, inputs.folder / "drives", inputs.workers)


def _more_needs(checkpoint: Checkpoint) -> str | None:
    from learned_sim_env.evaluation.levels.camera_drives.twin_drives import SIMULATOR
    from learned_sim_env.evaluation.levels.cameras import LEVEL as CAMERAS

    learned_from = checkpoint.training.get("simulators")
    if learned_from and SIMULATOR not in learned_from:
        return f"it was trained on {', '.join(learned_from)}, and the twin is {SIMULATOR}"
    return CAMERAS.reason_not_applicable(checkpoint)


LEVEL = Level(
    name="camera_drives",
    question="do imagined camera frames stay such as the simulator's, while a driver drives on?",
    requirements="a model that draws cameras; MetaDrive as the twin",
    measure=_measure,
    more_needs=_more_needs,
)
