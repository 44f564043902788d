"""Level 1 of the ladder, of frames as a model keeps them: what its tokenizer loses, with nothing imagined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.evaluation.levels import Level, LevelInputs
from learned_sim_env.measures.needs import Needs

if TYPE_CHECKING:
    from learned_sim_env.reporting.parts import Part


def _measure(inputs: LevelInputs) -> tuple[Part, ...]:
    from learned_sim_env.evaluation.levels.tokenizer.tokenizer_part import TokenizerConfig, measure_tokenizer

    return (measure_tokenizer(inputs.checkpoint, inputs.data, TokenizerConfig(batch_size=inputs.batch_size)),)


LEVEL = Level(
    name="tokenizer",
    question="what is lost where a frame becomes tokens, and how much is a frame then?",
    requirements="a model that codes frames by themselves; recorded episodes with what it codes",
    measure=_measure,
    needs=Needs(capabilities=("FrameCoder",)),
)
