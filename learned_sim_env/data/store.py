"""Episodes on disk: one compressed file an episode while collecting, one Minari dataset for exchange."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from learned_sim_env.data.episode import INFOS, METADATA, OBSERVATIONS, SCHEMA, TRANSITIONS, Episode
from learned_sim_env.files import replacing, replacing_folder
from learned_sim_env.isolation import isolated
from learned_sim_env.optional import require
from learned_sim_env.spec import CONTRACTS, Contract

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


def observation_space(contract: Contract) -> gym.spaces.Dict:
    """Space of a stored observation: `semantic` (H, W) uint8 class ids and `ego` (6,) float32."""
    ego = contract.observation_space("dict")["ego"]  # type: ignore[index]
    return gym.spaces.Dict({"semantic": contract.observation_space("semantic"), "ego": ego})


def write_minari(path: Path, episodes: Iterable[Episode], dataset_id: str, description: str) -> None:
    """Write episodes as one Minari dataset at `path`, replacing what is there only once the new one is whole.

    Args:
        episodes: a list, an `EpisodeFolder`, or whatever else can be sent to another process.

    Raises:
        DiskFull: if there was no space for it.
    """
    require("minari", extra="train")
    with replacing_folder(path) as temporary:
        # HDF5 cannot close a file that it could not write, and crashes sooner or later.
        isolated(_write_minari, temporary, episodes, {"dataset_id": dataset_id, "description": description})


def _write_minari(path: Path, episodes: Iterable[Episode], about: dict[str, str]) -> None:
    """Write a Minari dataset into a new folder."""
    from minari import __version__
    from minari.data_collector.episode_buffer import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage

    contract = CONTRACTS["driving"]
    storage = MinariStorage.new(
        path,
        observation_space=observation_space(contract),
        action_space=contract.action_space(),
        # Minari stores image-like spaces as lossy JPEG unless told otherwise; class ids would not survive it.
        jpeg_encoding=False,
    )
    storage.update_metadata(
        {
            **about,
            "minari_version": __version__,
            "contract_fingerprint": contract.fingerprint(),
        }
    )
    iterator = iter(episodes)
    while batch := list(islice(iterator, _BATCH)):
        first = storage.total_episodes
        storage.update_episodes(
            EpisodeBuffer(
                seed=episode.seed,
                observations={name: getattr(episode, name) for name in OBSERVATIONS},
                infos={name: getattr(episode, name) for name in INFOS},
                **{name: getattr(episode, name) for name in TRANSITIONS},
            )
            for episode in batch
        )
        metadata = [{k: v for k, v in episode.metadata().items() if k != "seed"} for episode in batch]
        storage.update_episode_metadata(metadata, range(first, first + len(batch)))


def read_minari(path: Path) -> Iterator[Episode]:
    """Episodes of a Minari dataset written by `write_minari`, one at a time."""
    require("minari", extra="train")
    from minari import MinariDataset

    dataset = MinariDataset(path.resolve())
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


def contract_fingerprint(path: Path) -> str:
    """Fingerprint of the contract that a Minari dataset written by `write_minari` was recorded under."""
    return str(json.loads((path / "metadata.json").read_text(encoding="utf-8"))["contract_fingerprint"])
