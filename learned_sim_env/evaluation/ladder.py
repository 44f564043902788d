"""The ladder of trust: which levels there are, and how they are climbed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module

from learned_sim_env.evaluation.levels import Level, LevelInputs
from learned_sim_env.reporting.parts import Part, not_applicable
from learned_sim_env.spec import unknown

# Name -> module, imported when needed, whose `LEVEL` declares the level; in the order of the ladder.
LEVELS = {
    "validity": "learned_sim_env.evaluation.levels.validity",
    "tokenizer": "learned_sim_env.evaluation.levels.tokenizer",
    "prediction": "learned_sim_env.evaluation.levels.prediction",
    "cameras": "learned_sim_env.evaluation.levels.cameras",
    "camera_drives": "learned_sim_env.evaluation.levels.camera_drives",
    "world": "learned_sim_env.evaluation.levels.world",
    "responses": "learned_sim_env.evaluation.levels.responses",
    "camera_actions": "learned_sim_env.evaluation.levels.camera_actions",
    "return_trip": "learned_sim_env.evaluation.levels.return_trip",
    "trust": "learned_sim_env.evaluation.levels.trust",
}
ALL = "all"


def find_level(name: str) -> Level:
    """The level called `name`; `ValueError` if there is none."""
    if name not in LEVELS:
        raise unknown("level", name, (*LEVELS, ALL))
    level: Level = import_module(LEVELS[name]).LEVEL
    return level


def chosen_levels(names: Sequence[str]) -> list[Level]:
    """The levels called so, "all" for every one, in the order of the ladder; `ValueError` if a name is unknown."""
    for name in names:
        if name != ALL:
            find_level(name)
    return [find_level(name) for name in LEVELS if name in names or ALL in names]


def climb(levels: Sequence[Level], inputs: LevelInputs) -> Iterator[tuple[Level, tuple[Part, ...]]]:
    """Measure `levels` one after the other, each handed over as soon as it is done.

    A level that does not apply to the model gives one part that says so.

    Raises:
        ImportError: if a level needs a package that is not installed, such as the twin's simulator.
        ValueError: if the data do not suit the checkpoint.
    """
    for level in levels:
        reason = level.reason_not_applicable(inputs.checkpoint)
        if reason is None:
            yield level, level.measure(inputs)
        else:
            more = f"The question would be: {level.question} It needs {level.requirements}."
            yield level, (not_applicable(level.name, level.name.replace("_", " "), reason, more),)
