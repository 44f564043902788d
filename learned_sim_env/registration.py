"""Environments as data: every `envs/<id>.toml` declares one id, read and registered when the package is imported."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import parse_env_id
from gymnasium.error import Error as GymnasiumError

from learned_sim_env.resources import envs_dir
from learned_sim_env.spec import CONTRACTS, unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Backend:
    """What stands behind an id: the classes that run it, the module (with its extra) that they need, and what else."""

    entry_point: str
    vector_entry_point: str | None = None
    module: str = "torch"
    extra: str = ""
    needs: str = ""


_TWIN = "learned_sim_env.environments.twin:TwinDrivingEnv"
BACKENDS = {
    "learned": Backend(
        "learned_sim_env.environments.learned:LearnedDrivingEnv",
        "learned_sim_env.environments.learned_vector:LearnedDrivingVectorEnv",
    ),
    "metadrive": Backend(_TWIN, module="metadrive", extra="metadrive"),
    "carla": Backend(_TWIN, module="carla", extra="carla", needs="a CARLA 0.9.16 server"),
    "recorded": Backend(_TWIN, module="cv2", extra="recordings", needs="recordings=..., a folder of yours"),
}


@dataclass(frozen=True)
class EnvDeclaration:
    """One environment id, as its file in `envs/` declares it.

    Args:
        id: the Gymnasium id, equal to the file's name.
        backend: a name in `BACKENDS`.
        contract: a name in `spec.CONTRACTS`.
        twin: an id with the same contract to compare with, or "".
        settings: keyword arguments of the environment's constructor, which `gym.make` can override.

    Raises:
        ValueError: for an unknown backend or contract.
    """

    id: str
    backend: str
    contract: str
    twin: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise unknown("backend", self.backend, BACKENDS)
        if self.contract not in CONTRACTS:
            raise unknown("contract", self.contract, CONTRACTS)
        for name in ("contract", "simulator"):
            if name in self.settings:
                raise ValueError(f"settings.{name}: this is what 'contract' and 'backend' say, above [settings]")

    @property
    def max_episode_steps(self) -> int:
        """Steps after which the environment truncates an episode, as the settings or the contract say."""
        return CONTRACTS[self.contract].episode_steps(self.settings.get("max_episode_steps"))

    @property
    def form(self) -> tuple[str, str]:
        """What it observes and how it is driven: obs_type and action_type."""
        return self.settings.get("obs_type", "dict"), self.settings.get("action_type", "continuous")

    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments that Gymnasium passes to the constructor."""
        simulator = {} if self.backend == "learned" else {"simulator": self.backend}
        return {**simulator, "contract": self.contract, **self.settings}

    def register(self) -> None:
        """Make the id known to Gymnasium."""
        backend = BACKENDS[self.backend]
        gym.register(
            self.id,
            entry_point=backend.entry_point,
            vector_entry_point=backend.vector_entry_point,
            max_episode_steps=self.max_episode_steps,
            kwargs=self.kwargs(),
        )


def read(path: Path) -> EnvDeclaration:
    """The declaration in a TOML file.

    Raises:
        ValueError: naming the file, for one that cannot be read, text that is not TOML, an unknown, missing or wrongly
            typed key, an id that is none, or that is not the file's name.
    """
    try:
        # Some editors put a byte order mark before it.
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        keys = {f.name: f for f in fields(EnvDeclaration)}
        for key, value in table.items():
            if key not in keys:
                raise unknown("key", key, keys)
            expected = dict if key == "settings" else str
            if not isinstance(value, expected):
                raise ValueError(f"{key} must be a {'table' if expected is dict else 'string'}, not {value!r}")
        for key, declared in keys.items():
            if key not in table and declared.default is MISSING and declared.default_factory is MISSING:
                raise ValueError(f"key {key!r} is missing")
        declaration = EnvDeclaration(**table)
        if declaration.id != path.stem:
            raise ValueError(f"id {declaration.id!r} is not the file's name: rename the file to {declaration.id}.toml")
        parse_env_id(declaration.id)
    except (ValueError, OSError, GymnasiumError) as error:
        raise ValueError(f"{path}: {error}") from error
    return declaration


@dataclass(frozen=True)
class Declared:
    """What a folder declares: what can be used, by id in alphabetical order, and what is wrong with the rest."""

    known: dict[str, EnvDeclaration]
    problems: tuple[str, ...]


def look(folder: Path | None = None) -> Declared:
    """All that a folder (the shipped one if None) declares. A wrong file costs its own environment only; a twin that is
    not declared or has another contract is left out.

    Raises:
        FileNotFoundError: if the folder holds no declaration.
    """
    folder = envs_dir() if folder is None else folder
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise FileNotFoundError(f"no environment is declared in {folder}: the installation is incomplete, reinstall it")
    known: dict[str, EnvDeclaration] = {}
    problems = []
    for file in files:
        try:
            declaration = read(file)
        except ValueError as error:
            problems.append(" ".join(str(error).split()))
        else:
            known[declaration.id] = declaration
    for name, declaration in known.items():
        if problem := _twin_problem(declaration, known):
            problems.append(f"{folder / name}.toml: {problem}")
            known[name] = replace(declaration, twin="")
    return Declared(known, tuple(problems))


def declarations(folder: Path | None = None) -> dict[str, EnvDeclaration]:
    """What can be used of what a folder declares, see `look`."""
    return look(folder).known


def register_all(folder: Path | None = None) -> None:
    """Register every declared id that Gymnasium does not know yet; warn of what is wrong, naming the file."""
    declared = look(folder)
    problems = list(declared.problems)
    for declaration in declared.known.values():
        if declaration.id not in gym.registry:
            try:
                declaration.register()
            except GymnasiumError as error:
                problems.append(f"{declaration.id}: {error}")
    for problem in problems:
        warnings.warn(f"an environment is left out or has no twin: {problem}", stacklevel=2)


def _twin_problem(declaration: EnvDeclaration, known: Mapping[str, EnvDeclaration]) -> str:
    if not declaration.twin:
        return ""
    if declaration.twin not in known:
        return str(unknown("twin", declaration.twin, known))
    twin = known[declaration.twin]
    if twin.contract != declaration.contract:
        return f"its twin {twin.id} keeps contract {twin.contract!r}, not {declaration.contract!r}"
    if twin.form != declaration.form:
        return f"its twin {twin.id} has obs_type and action_type {twin.form}, not {declaration.form}"
    return ""
