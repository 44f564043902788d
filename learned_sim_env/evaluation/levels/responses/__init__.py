"""Level 2 of the ladder: whether the dream answers to actions as its twin does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.evaluation.levels import Level, LevelInputs

if TYPE_CHECKING:
    from learned_sim_env.reporting.parts import Part
    from learned_sim_env.world_model.checkpoint import Checkpoint


def _measure(inputs: LevelInputs) -> tuple[Part, ...]:
    from learned_sim_env.evaluation.levels.responses.responses import ResponsesConfig, responses

    return (responses(inputs.checkpoint, ResponsesConfig(workers=inputs.workers), inputs.folder / "twin"),)


def _more_needs(checkpoint: Checkpoint) -> str | None:
    from learned_sim_env.evaluation.levels.responses.responses import ResponsesConfig
    from learned_sim_env.twins.pairing import twin_settings

    simulator = twin_settings(ResponsesConfig().env_id)["simulator"]
    learned_from = checkpoint.training.get("simulators")
    if learned_from and simulator not in learned_from:
        return f"its contexts were recorded in {', '.join(learned_from)}, and the twin is {simulator}"
    return None


LEVEL = Level(
    name="responses",
    question="does the dream answer to actions as the simulator does?",
    requirements="contexts recorded in MetaDrive, and MetaDrive itself as the twin",
    measure=_measure,
    more_needs=_more_needs,
)
