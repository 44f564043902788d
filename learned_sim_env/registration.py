"""Environments as data: every `envs/<id>.toml` declares one id, read and registered when the package is imported."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import gymnasium as gym

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

    @property
    def max_episode_steps(self) -> int:
        """Steps after which the environment truncates an episode, as the contract says."""
        return CONTRACTS[self.contract].max_episode_steps

    @property
    def form(self) -> tuple[str, str]:
        """What it observes and how it is driven: obs_type and action_type."""
        return self.settings.get("obs_type", "dict"), self.settings.get("action_type", "continuous")

    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments that Gymnasium passes to the constructor."""
        if self.backend == "learned":  # its contract comes with the checkpoint
            return dict(self.settings)
        return {"simulator": self.backend, "contract": self.contract, **self.settings}

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
        ValueError: naming the file, for text that is not TOML, an unknown, missing or wrongly typed key, or an id that
            is not the file's name.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
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
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return declaration


def declarations(folder: Path | None = None) -> dict[str, EnvDeclaration]:
    """Every declaration of a folder (the shipped one if None) by id, in alphabetical order.

    Raises:
        FileNotFoundError: if the folder holds no declaration.
        ValueError: for a file that `read` refuses, or a twin that is not declared, or has another contract or form.
    """
    folder = envs_dir() if folder is None else folder
    known = {d.id: d for d in map(read, sorted(folder.glob("*.toml")))}
    if not known:
        raise FileNotFoundError(f"no environment is declared in {folder}: the installation is incomplete, reinstall it")
    for declaration in known.values():
        if not declaration.twin:
            continue
        if declaration.twin not in known:
            raise ValueError(f"{declaration.id}: {unknown('twin', declaration.twin, known)}")
        twin = known[declaration.twin]
        if twin.contract != declaration.contract:
            raise ValueError(
                f"{declaration.id}: its twin {twin.id} keeps contract {twin.contract!r}, not {declaration.contract!r}"
            )
        if twin.form != declaration.form:
            raise ValueError(
                f"{declaration.id}: its twin {twin.id} has obs_type and action_type {twin.form}, not {declaration.form}"
            )
    return known


def register_all(folder: Path | None = None) -> None:
    """Register every declared id that Gymnasium does not know yet."""
    for declaration in declarations(folder).values():
        if declaration.id not in gym.registry:
            declaration.register()
