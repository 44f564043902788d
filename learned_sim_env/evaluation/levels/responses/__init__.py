"""Level 2 of the ladder: whether the dream answers to actions as its twin does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from learned_sim_env.evaluation.levels import Level, LevelInputs

if TYPE_CHECKING:
    from learned_sim_env.reporting.parts import Part
    from learned_sim_env.world_model.checkpoint import Checkpoint

# Of a model that has learned from recordings alone, these are the twin. Others brake for the ego there: they would
# otherwise run into it as soon as it does not do what it did.
RECORDED, TRAFFIC = "recorded", "react"


def _measure(inputs: LevelInputs) -> tuple[Part, ...]:
    from learned_sim_env.evaluation.levels.responses.responses import ResponsesConfig, responses
    from learned_sim_env.reporting.parts import not_applicable

    config = ResponsesConfig(workers=inputs.workers)
    if set(inputs.checkpoint.training.get("simulators", ())) == {RECORDED}:
        if inputs.imported is None:
            why = "its contexts are moments of recordings: name the folder of their import with --data"
            return (not_applicable(LEVEL.name, LEVEL.name, why),)
        settings = {"recordings": str(inputs.imported), "traffic": TRAFFIC}
        config = replace(config, simulator=RECORDED, settings=settings)
    return (responses(inputs.checkpoint, config, inputs.folder / "twin"),)


def _more_needs(checkpoint: Checkpoint) -> str | None:
    from learned_sim_env.evaluation.levels.responses.responses import ResponsesConfig
    from learned_sim_env.twins.pairing import twin_settings

    simulator = twin_settings(ResponsesConfig().env_id)["simulator"]
    learned_from = checkpoint.training.get("simulators")
    if learned_from and not {simulator, RECORDED} & set(learned_from):
        return f"its contexts were recorded in {', '.join(learned_from)}, and the twin is {simulator}"
    return None


LEVEL = Level(
    name="responses",
    question="does the dream answer to actions as the simulator does?",
    requirements="contexts recorded in MetaDrive, and MetaDrive itself as the twin; or contexts of recordings, whose "
    "import, named with --data, is the twin then",
    measure=_measure,
    more_needs=_more_needs,
)
