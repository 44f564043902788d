"""The ladder of trust: which levels there are, and measuring one."""

from __future__ import annotations

from collections.abc import Sequence
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


def measure_level(name: str, inputs: LevelInputs) -> tuple[Part, ...]:
    """What the level called `name` says of a model: one part that says so where it does not apply.

    Raises:
        ImportError: if the level needs a package that is not installed, such as the twin's simulator.
        ValueError: if there is no such level, or the data do not suit the checkpoint.
    """
    level = find_level(name)
    reason = level.reason_not_applicable(inputs.checkpoint)
    if reason is None:
        return level.measure(inputs)
    more = f"The question would be: {level.question} It needs {level.requirements}."
    return (not_applicable(level.name, level.name.replace("_", " "), reason, more),)
