"""Level 1 of the ladder, of whole episodes: whether a minute of dream is a drive through a town, as in the twin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.evaluation.levels import Level, LevelInputs
from learned_sim_env.measures.needs import Needs

if TYPE_CHECKING:
    from learned_sim_env.reporting.parts import Part
    from learned_sim_env.world_model.checkpoint import Checkpoint


def _measure(inputs: LevelInputs) -> tuple[Part, ...]:
    from learned_sim_env.evaluation.levels.world.road_users_part import road_users
    from learned_sim_env.evaluation.levels.world.world import WorldConfig, measure_world

    config = WorldConfig(drives=inputs.world_drives)
    return (
        *measure_world(inputs.checkpoint, inputs.data, inputs.folder / "drives", inputs.workers, config),
        road_users(inputs.checkpoint, inputs.data),
    )


def _more_needs(checkpoint: Checkpoint) -> str | None:
    from learned_sim_env.evaluation.drives.twin_drives import reason_without_twin

    return reason_without_twin(checkpoint)


LEVEL = Level(
    name="world",
    question="is a dream of 50 s a drive through such a world as the simulator's?",
    requirements="a model that draws the view from above; MetaDrive as the twin",
    measure=_measure,
    needs=Needs(draws=("bev",)),
    more_needs=_more_needs,
)
