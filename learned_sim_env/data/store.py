"""Episodes on disk: one compressed file an episode while collecting, one Minari dataset for exchange."""

from __future__ import annotations

import hashlib
import itertools
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

from learned_sim_env.data.episode import METADATA, MODALITIES, MOMENTS, SCHEMA, TRANSITIONS, Episode
from learned_sim_env.drivers.ray_features import episode_features
from learned_sim_env.files import replacing, replacing_folder
from learned_sim_env.isolation import isolated
from learned_sim_env.optional import require
from learned_sim_env.spec import CONTRACTS, Contract, Fingerprints, observed_as

# Episodes written to a Minari dataset at a time.
_BATCH = 16
# Camera frames in it that are compressed together.
_CHUNK = 8
# What the view from above is called in files of earlier versions, and in observations of class ids.
_EARLIER = {observed_as("bev"): "bev"}
# What names of masks begin with in files of one episode.
_MASK = "valid."


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
        masks = {f"{_MASK}{name}": mask for name, mask in episode.valid.items()}
        metadata = {name: np.array(value) for name, value in episode.metadata().items()}
        write_npz(self.path / f"{episode.seed}.npz", {**episode.arrays(), **masks, **metadata})

    def read(self, seed: int) -> Episode:
        """The episode of `seed`."""
        with np.load(self.path / f"{seed}.npz", allow_pickle=False) as file:
            return _episode(dict(file.items()))

    def __iter__(self) -> Iterator[Episode]:
        return (self.read(seed) for seed in self.seeds())


def _episode(members: dict[str, Any]) -> Episode:
    """The episode of which a file holds these members by name."""
    members = {_EARLIER.get(name, name): value for name, value in members.items()}
    metadata = {name: members.pop(name).item() for name in METADATA if name in members}
    valid = {name.removeprefix(_MASK): members.pop(name) for name in list(members) if name.startswith(_MASK)}
    arrays = {name: members.pop(name) for name in SCHEMA if name in members}
    return Episode(**metadata, observations=members, valid=valid, **arrays)


def write_minari(
    path: Path,
    episodes: Iterable[Episode],
    dataset_id: str,
    description: str,
    env_spec: EnvSpec | None = None,
    obs_type: str = "classes",
    contract: Contract = CONTRACTS["driving"],
    names: Iterable[str] = MODALITIES,
) -> None:
    """Write episodes as one Minari dataset at `path`, replacing what is there only once the new one is whole.

    What an episode lacks is filled up where Minari asks for it: modalities with zeros, of which a mask among the infos
    tells, and rewards with NaN.

    Args:
        path: of the dataset, which Minari wants to be called "data".
        episodes: a list, an `EpisodeFolder`, or whatever else can be sent to another process.
        dataset_id: what Minari calls it.
        description: of it.
        env_spec: of an environment with these observations and actions, for `recover_environment`.
        obs_type: of the observations: "classes", with which all that was recorded is stored, or "flat", with which only
            observations, actions, rewards and ends are, for programs that learn from these alone.
        contract: that the episodes keep.
        names: of the contract's modalities that they have, or some of them.

    Raises:
        DiskFull: if there was no space for it.
        ValueError: if an episode has another modality, or one of another shape or type than the contract's.
    """
    require("minari", extra="train")
    with replacing_folder(path) as temporary:
        # HDF5 crashes as it closes a file that it could not write: https://github.com/HDFGroup/hdf5/issues/6601.
        about = {"dataset_id": dataset_id, "description": description}
        isolated(_write_minari, temporary, episodes, about, env_spec, obs_type, contract, tuple(names))


def _write_minari(
    path: Path,
    episodes: Iterable[Episode],
    about: dict[str, str],
    env_spec: EnvSpec | None,
    obs_type: str,
    contract: Contract,
    names: tuple[str, ...],
) -> None:
    """Write a Minari dataset into a new folder."""
    from minari import __version__
    from minari.data_collector.episode_buffer import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage

    storage = MinariStorage.new(
        path,
        observation_space=contract.observation_space(obs_type, names=None if obs_type == "flat" else names),
        action_space=contract.action_space(),
        env_spec=env_spec,
        # Minari stores image-like spaces as lossy JPEG unless told otherwise; class ids would not survive it.
        jpeg_encoding=False,
    )
    storage.update_metadata(
        {
            **about,
            "minari_version": __version__,
            "contract_fingerprint": str(contract.fingerprints(names)),
        }
    )
    cameras = [] if obs_type == "flat" else [name for name in names if contract.modality(name).kind == "rgb"]
    iterator = iter(episodes)
    while batch := list(islice(iterator, 1 if cameras else _BATCH)):
        first = storage.total_episodes
        for number, name in itertools.product(range(first, first + len(batch)), cameras):
            _prepare(path, f"episode_{number}/observations/{name}", contract.modality(name).shape)
        storage.update_episodes(
            EpisodeBuffer(id=first + i, seed=episode.seed, **_contents(episode, obs_type, contract, names))
            for i, episode in enumerate(batch)
        )
        metadata = [{k: v for k, v in episode.metadata().items() if k != "seed"} for episode in batch]
        storage.update_episode_metadata(metadata, range(first, first + len(batch)))


def _prepare(path: Path, name: str, shape: tuple[int, ...]) -> None:
    """Make a compressed array without rows, to which Minari will add them: its own would be three times as large."""
    import h5py

    with h5py.File(path / "main_data.hdf5", "a", track_order=True) as file:
        file.create_dataset(
            name, (0, *shape), np.uint8, maxshape=(None, *shape), chunks=(_CHUNK, *shape), compression="gzip"
        )


def _contents(episode: Episode, obs_type: str, contract: Contract, names: tuple[str, ...]) -> dict[str, Any]:
    """Observations, transitions and infos to store."""
    episode.check(contract)
    others = [name for name in episode.observations if name not in names]
    if others:
        raise ValueError(f"episode {episode.seed} has the modalities {', '.join(others)}, not among {', '.join(names)}")
    transitions = {name: getattr(episode, name) for name in TRANSITIONS}
    if episode.rewards is None:
        transitions["rewards"] = np.full(len(episode), np.nan, np.float32)
    if obs_type == "flat":
        missing = [name for name in ("bev", "ego") if name not in episode.observations]
        if missing:
            raise ValueError(f"episode {episode.seed} has no {', '.join(missing)}, of which flat observations are made")
        return {"observations": episode_features(episode.observations), **transitions, "infos": {}}
    moments, masks, observations = len(episode) + 1, dict(episode.valid), {}
    for name in names:
        seen = episode.observations.get(name)
        if seen is None:
            modality = contract.modality(name)
            seen, masks[name] = np.zeros((moments, *modality.shape), modality.dtype), np.zeros(moments, bool)
        observations[observed_as(name)] = seen
    infos = {name: getattr(episode, name) for name in MOMENTS if getattr(episode, name) is not None}
    return {"observations": observations, **transitions, "infos": {**infos, **({"valid": masks} if masks else {})}}


def read_minari(path: Path) -> Iterator[Episode]:
    """Episodes of a Minari dataset written by `write_minari`, one at a time."""
    require("minari", extra="train")
    from minari import MinariDataset

    dataset = MinariDataset(path.resolve())
    if not isinstance(dataset.observation_space, gym.spaces.Dict):
        raise ValueError(f"{path} holds flat observations only: name the collection that it was made from")
    metadata = dataset.storage.get_episode_metadata(dataset.episode_indices)
    for data, meta in zip(dataset.iterate_episodes(), metadata, strict=True):
        infos = dict(data.infos)
        masks: dict[str, np.ndarray] = infos.pop("valid", {})
        members: dict[str, Any] = {_EARLIER.get(name, name): seen for name, seen in data.observations.items()}
        filled = {name for name in masks if name in members and name != "ego" and not masks[name].any()}
        members.update({name: getattr(data, name) for name in TRANSITIONS})
        if "reward_terms" not in infos:
            del members["rewards"]
        members = {**{name: v for name, v in members.items() if name not in filled}, **infos}
        members.update({f"{_MASK}{name}": mask for name, mask in masks.items() if name not in filled})
        members.update({name: np.array(meta[name]) for name in METADATA if name in meta})
        yield _episode(members)


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


def fingerprints_of(path: Path) -> Fingerprints:
    """Of the task and the modalities that a Minari dataset written by `write_minari` was recorded with."""
    written = json.loads((path / "metadata.json").read_text(encoding="utf-8"))["contract_fingerprint"]
    return Fingerprints.parse(written)
