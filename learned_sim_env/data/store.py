"""Episodes on disk: one compressed file an episode while collecting, one Minari dataset for exchange."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from learned_sim_env.data.episode import INFOS, METADATA, OBSERVATIONS, SCHEMA, TRANSITIONS, Episode
from learned_sim_env.drivers.sight import along
from learned_sim_env.files import replacing, replacing_folder
from learned_sim_env.isolation import isolated
from learned_sim_env.optional import require
from learned_sim_env.spec import CONTRACTS

# Episodes written to a Minari dataset at a time.
_BATCH = 16


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as a compressed `.npz`, atomically."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def key_of(about: Any, arrays: Iterable[np.ndarray] = ()) -> str:
    """A name for what is kept of a computation: another one as soon as anything differs that is told here.

    Args:
        about: JSON-ready.
        arrays: whose content, shape and type count.
    """
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for array in arrays:
        key.update(f"{array.dtype.str}{array.shape}".encode())
        key.update(np.ascontiguousarray(array).tobytes())
    return key.hexdigest()[:32]


class EpisodeFolder:
    """A folder of `<seed>.npz` files, one an episode. A file is either whole or absent."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def seeds(self) -> list[int]:
        """Seeds of the episodes that are there, ascending."""
        return sorted(int(file.stem) for file in self.path.glob("[0-9]*.npz"))

    def write(self, episode: Episode) -> None:
        """Store an episode under its seed."""
        self.path.mkdir(parents=True, exist_ok=True)
        metadata = {name: np.array(value) for name, value in episode.metadata().items()}
        write_npz(self.path / f"{episode.seed}.npz", {**episode.arrays(), **metadata})

    def read(self, seed: int) -> Episode:
        """The episode of `seed`."""
        with np.load(self.path / f"{seed}.npz", allow_pickle=False) as file:
            return Episode(**{name: file[name] for name in SCHEMA}, **{name: file[name].item() for name in METADATA})

    def __iter__(self) -> Iterator[Episode]:
        return (self.read(seed) for seed in self.seeds())


def write_minari(
    path: Path,
    episodes: Iterable[Episode],
    dataset_id: str,
    description: str,
    env_spec: EnvSpec | None = None,
    obs_type: str = "classes",
) -> None:
    """Write episodes as one Minari dataset at `path`, replacing what is there only once the new one is whole.

    Args:
        path: of the dataset, which Minari wants to be called "data".
        episodes: a list, an `EpisodeFolder`, or whatever else can be sent to another process.
        dataset_id: what Minari calls it.
        description: of it.
        env_spec: of an environment with these observations and actions, for `recover_environment`.
        obs_type: of the observations: "classes", with which all that was recorded is stored, or "flat", with which only
            observations, actions, rewards and ends are, for programs that learn from these alone.

    Raises:
        DiskFull: if there was no space for it.
    """
    require("minari", extra="train")
    with replacing_folder(path) as temporary:
        # HDF5 cannot close a file that it could not write, and crashes sooner or later.
        about = {"dataset_id": dataset_id, "description": description}
        isolated(_write_minari, temporary, episodes, about, env_spec, obs_type)


def _write_minari(
    path: Path, episodes: Iterable[Episode], about: dict[str, str], env_spec: EnvSpec | None, obs_type: str
) -> None:
    """Write a Minari dataset into a new folder."""
    from minari import __version__
    from minari.data_collector.episode_buffer import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage

    contract = CONTRACTS["driving"]
    storage = MinariStorage.new(
        path,
        observation_space=contract.observation_space(obs_type),
        action_space=contract.action_space(),
        env_spec=env_spec,
        # Minari stores image-like spaces as lossy JPEG unless told otherwise; class ids would not survive it.
        jpeg_encoding=False,
    )
    storage.update_metadata(
        {
            **about,
            "minari_version": __version__,
            "contract_fingerprint": str(contract.fingerprints()),
        }
    )
    iterator = iter(episodes)
    while batch := list(islice(iterator, _BATCH)):
        first = storage.total_episodes
        storage.update_episodes(
            EpisodeBuffer(
                seed=episode.seed,
                **_contents(episode, obs_type),
                **{name: getattr(episode, name) for name in TRANSITIONS},
            )
            for episode in batch
        )
        metadata = [{k: v for k, v in episode.metadata().items() if k != "seed"} for episode in batch]
        storage.update_episode_metadata(metadata, range(first, first + len(batch)))


def _contents(episode: Episode, obs_type: str) -> dict[str, Any]:
    """Observations and infos to store."""
    observations = {name: getattr(episode, name) for name in OBSERVATIONS}
    if obs_type == "flat":
        return {"observations": along(observations), "infos": {}}
    return {"observations": observations, "infos": {name: getattr(episode, name) for name in INFOS}}


def read_minari(path: Path) -> Iterator[Episode]:
    """Episodes of a Minari dataset written by `write_minari`, one at a time."""
    require("minari", extra="train")
    from minari import MinariDataset

    dataset = MinariDataset(path.resolve())
    if not isinstance(dataset.observation_space, gym.spaces.Dict):
        raise ValueError(f"{path} holds flat observations only: name the collection that it was made from")
    metadata = dataset.storage.get_episode_metadata(dataset.episode_indices)
    for data, meta in zip(dataset.iterate_episodes(), metadata, strict=True):
        arrays: dict[str, Any] = {**data.observations, **data.infos}
        arrays.update({name: getattr(data, name) for name in TRANSITIONS})
        arrays.update({name: meta[name] for name in METADATA})
        yield Episode(**arrays)


def read_minari_seeds(path: Path) -> list[int]:
    """Seeds of the episodes of a Minari dataset, in its order; empty when there is no dataset at `path`."""
    if not path.exists():
        return []
    require("minari", extra="train")
    from minari import MinariDataset

    dataset = MinariDataset(path.resolve())
    return [int(meta["seed"]) for meta in dataset.storage.get_episode_metadata(dataset.episode_indices)]


def minari_id(folder: Path, otherwise: str) -> str:
    """What Minari must call the dataset `folder/data` to find it.

    Minari looks in the folder that the variable MINARI_DATASETS_PATH names, else in `~/.minari/datasets`. The id of a
    dataset is its path below that; where `folder` lies elsewhere, its own name, so that the variable can name its
    parent.

    Args:
        folder: of a collection.
        otherwise: where that is no id, which ends in `-v` and a number.
    """
    folder = folder.resolve()
    root = Path(os.environ.get("MINARI_DATASETS_PATH") or Path.home() / ".minari" / "datasets").resolve()
    name = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.name
    return name if re.fullmatch(r"([-\w]+/)*[-\w]+-v\d+", name) else otherwise


def is_minari(path: Path, dataset_id: str, env_spec: EnvSpec | None, seeds: list[int]) -> bool:
    """Whether the dataset at `path` is called so, is of that environment, and holds the episodes of `seeds`."""
    if read_minari_seeds(path) != seeds:
        return False
    there = json.loads((path / "metadata.json").read_text(encoding="utf-8"))
    spec = None if env_spec is None else env_spec.to_json()
    return (there["dataset_id"], there.get("env_spec")) == (dataset_id, spec)


def contract_fingerprint(path: Path) -> str:
    """Fingerprint of the contract that a Minari dataset written by `write_minari` was recorded under."""
    return str(json.loads((path / "metadata.json").read_text(encoding="utf-8"))["contract_fingerprint"])
