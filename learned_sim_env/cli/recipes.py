"""Recipes of checkpoints: every `recipes/<name>.toml` declares what `learned-sim build <name>` does at each stage."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from learned_sim_env.cli.collect import CollectArgs
from learned_sim_env.cli.evaluate import EvaluateArgs
from learned_sim_env.cli.train import TrainArgs
from learned_sim_env.resources import as_path, recipes_dir
from learned_sim_env.spec import unknown
from learned_sim_env.training.config import TrainConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Tables of a recipe; its table [quick] has some of the same.
TABLES = ("collect", "roads", "train", "evaluate", "minutes")
STAGES = ("collect", "pack", "roads", "train", "export", "evaluate")
# What the build itself decides, and no recipe.
DECIDED = {
    "collect": ("out", "split", "workers"),
    "roads": (),
    "train": ("data", "out", "device", "threads", "config", "settings", "roads"),
    "evaluate": ("checkpoint", "out", "data", "seeds", "device", "threads", "workers", "processes", "card"),
}


@dataclass(frozen=True)
class Recipe:
    """How a checkpoint is made: arguments of the commands that make it, checked.

    name: of the checkpoint. collect, train, evaluate: by name; those of "train" are of the run, of the architecture's
    settings and of the command. roads: of what the file is made that this setting of the architecture names, see
    `Objective.made_before`; without it there is no such stage. minutes: that each stage takes, for forecasts.
    """

    name: str
    collect: Mapping[str, Any]
    train: Mapping[str, Any]
    roads: Mapping[str, Any] = field(default_factory=dict)
    evaluate: Mapping[str, Any] = field(default_factory=dict)
    minutes: Mapping[str, float] = field(default_factory=dict)

    @property
    def stages(self) -> tuple[str, ...]:
        """Those of `STAGES` that it has."""
        return tuple(stage for stage in STAGES if stage != "roads" or self.roads)


def find(name_or_path: str) -> Path:
    """The file of a recipe: one that ships, by its name, or the path of one (`./mine.toml`).

    Raises:
        FileNotFoundError: if there is none.
    """
    path = as_path(name_or_path)
    if path is None:
        path = recipes_dir() / f"{name_or_path}.toml"
        if not path.is_file():
            names = [file.stem for file in recipes_dir().glob("*.toml")]
            raise FileNotFoundError(f"{unknown('recipe', name_or_path, names)}, or the path of a file of yours")
    if not path.is_file():
        raise FileNotFoundError(f"there is no recipe {path}")
    return path


def read(path: Path, quick: bool = False) -> Recipe:
    """The recipe in a file; `quick`: with what its table [quick] changes.

    Raises:
        ValueError: naming the file, for text that is not TOML, a table or key that does not exist or is missing, a
            value of another type, or a model that does not exist.
    """
    try:
        text = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        changes = text.pop("quick", {})
        for name in (*text, *changes):
            if name not in TABLES:
                raise unknown("table", name, (*TABLES, "quick"))
        tables = {name: {**text.get(name, {}), **(changes.get(name, {}) if quick else {})} for name in TABLES}
        if not isinstance(tables["train"].get("model"), str):
            raise ValueError('[train] has no model: say which, as in model = "camera-small"')
        return Recipe(path.stem, **{n: _checked(n, table, tables["train"]["model"]) for n, table in tables.items()})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _checked(name: str, table: Mapping[str, Any], model: str) -> dict[str, Any]:
    """A table whose keys and types are those of its command."""
    known = _known(name, model)
    if table and not known:
        raise ValueError(f"[{name}] is of no use to {model}: leave it out")
    for key in table:
        if key not in known:
            raise unknown(f"key in [{name}]:", key, known)
    if name == "collect" and "episodes" not in table:
        raise ValueError("[collect] has no episodes: say how many to record")
    return {key: _typed(f"[{name}] {key}", value, known[key]) for key, value in table.items()}


def _known(name: str, model: str) -> dict[str, Any]:
    """Keys of a table and their types."""
    from learned_sim_env.training.objective import objective_class

    objective = objective_class(model)
    kinds: dict[str, tuple[Any, ...]] = {
        "collect": (CollectArgs,),
        "train": (TrainConfig, objective.settings_class, TrainArgs),
        "evaluate": (EvaluateArgs,),
        **{setting: (made.config,) for setting, made in objective.made_before.items()},
    }
    if name == "minutes":
        return dict.fromkeys(STAGES, float)
    decided = DECIDED[name]
    return {
        f.name: get_type_hints(kind)[f.name]
        for kind in kinds.get(name, ())
        for f in fields(kind)
        if f.name not in decided
    }


def _typed(what: str, value: Any, kind: Any) -> Any:
    """A value of TOML as an argument of type `kind`; `ValueError` if it is of another."""
    if get_origin(kind) is tuple:
        if not (isinstance(value, list) and all(isinstance(part, str) for part in value)):
            raise ValueError(f"{what} is {value!r}; it must be a list of strings")
        return tuple(value)
    if kind is float and type(value) is int:
        return float(value)
    if isinstance(kind, type) and type(value) is not kind:
        raise ValueError(f"{what} is {value!r}; it must be of type {kind.__name__}")
    return value


def parted(table: Mapping[str, Any], kinds: Iterable[type[Any]]) -> list[dict[str, Any]]:
    """The part of a table for each of some dataclasses; a key goes to the first that has it."""
    left, parts = dict(table), []
    for kind in kinds:
        parts.append({f.name: left.pop(f.name) for f in fields(kind) if f.name in left})
    return parts
