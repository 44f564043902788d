"""Reading a collection: episodes one by one from the Minari dataset, or all of them packed for training."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.data.episode import MOMENTS, SCHEMA, TRANSITIONS, Episode
from learned_sim_env.data.splits import SPLITS, split_of
from learned_sim_env.data.store import contract_fingerprint, read_minari
from learned_sim_env.files import replacing
from learned_sim_env.spec import Contract, Fingerprints, unknown

# Raised when the layout of the packed file changes, so that older ones are made anew.
_LAYOUT = 2
_PLANES = ("map", "objects")
_ROWS = tuple(name for name in SCHEMA if name not in ("semantic", "map"))


def iterate_episodes(directory: Path | str, split: str | None = None) -> Iterator[Episode]:
    """Episodes of the collection in `directory`, in ascending order of seed, or those of one of `SPLITS` only."""
    if split is not None and split not in SPLITS:
        raise unknown("split", split, SPLITS)
    for episode in read_minari(Path(directory) / "data"):
        if split is None or split_of(episode.seed) == split:
            yield episode


def load_episodes(directory: Path | str, split: str | None = None) -> list[Episode]:
    """`iterate_episodes` as a list; about 10 kB of memory a frame."""
    return list(iterate_episodes(directory, split))


@dataclass(frozen=True, eq=False)
class PackedData:
    """Many episodes as contiguous arrays, one row a moment: an episode of T steps has T + 1 rows.

    arrays: every name of the episode `SCHEMA`, (N, ...) with its dtype. Transitions stand in the row they lead to:
    `arrays["actions"][i]` led from row i - 1 to row i, and the first row of an episode has zeros there.
    starts, lengths: (E,) int64, first row and number of rows of each episode. seeds: (E,) int64.
    simulators, behaviours, end_reasons: (E,) str. contract_fingerprint: of the contract the data was recorded under.
    """

    arrays: dict[str, np.ndarray]
    starts: np.ndarray
    lengths: np.ndarray
    seeds: np.ndarray
    simulators: np.ndarray
    behaviours: np.ndarray
    end_reasons: np.ndarray
    contract_fingerprint: str

    @staticmethod
    def load(path: Path | str) -> PackedData:
        """Read a file written by `pack`; it needs nothing else of the collection."""
        with np.load(path, allow_pickle=False) as file:
            if int(file["layout"]) != _LAYOUT:
                raise ValueError(f"{path} has layout {file['layout']}, this version reads {_LAYOUT}: pack it again")
            arrays = {name: file[name] for name in _ROWS}
            arrays["map"] = _from_nibbles(file["map"])
            semantic = _from_nibbles(file["objects"])
            np.copyto(semantic, arrays["map"], where=semantic == 0)
            arrays["semantic"] = semantic
            lengths = file["lengths"]
            return PackedData(
                arrays=arrays,
                starts=np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64),
                lengths=lengths,
                seeds=file["seeds"],
                simulators=file["simulators"],
                behaviours=file["behaviours"],
                end_reasons=file["end_reasons"],
                contract_fingerprint=str(file["contract_fingerprint"]),
            )

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.seeds)

    def check_contract(self, contract: Contract) -> None:
        """Raise `ValueError` if the data was recorded under another contract than this one."""
        contract.check("the data", Fingerprints.parse(self.contract_fingerprint), ("bev", "ego"))

    @property
    def steps(self) -> int:
        """Number of steps in all episodes."""
        return int((self.lengths - 1).sum())

    def split(self, name: str) -> PackedData:
        """The episodes of one of `SPLITS`; the arrays are shared, only the episodes listed differ."""
        if name not in SPLITS:
            raise unknown("split", name, SPLITS)
        return self.select(np.array([split_of(int(seed)) == name for seed in self.seeds], bool))

    def select(self, which: np.ndarray) -> PackedData:
        """The episodes that a mask (E,) bool or indices name; the arrays are shared."""
        listed = ("starts", "lengths", "seeds", "simulators", "behaviours", "end_reasons")
        return replace(self, **{name: getattr(self, name)[which] for name in listed})

    def episode(self, index: int) -> Episode:
        """One episode; its arrays are views."""
        first, last = self.starts[index], self.starts[index] + self.lengths[index]
        rows = {name: self.arrays[name][first:last] for name in MOMENTS}
        rows.update({name: self.arrays[name][first + 1 : last] for name in TRANSITIONS})
        return Episode(
            seed=int(self.seeds[index]),
            simulator=str(self.simulators[index]),
            behaviour=str(self.behaviours[index]),
            end_reason=str(self.end_reasons[index]),
            **rows,
        )


def pack(directory: Path | str) -> Path:
    """The whole collection as one small file, `directory/packed.npz`, about 200 bytes a frame.

    It is made from the Minari dataset when it is missing or the dataset has changed since, and needs nothing else
    to be read.
    """
    directory = Path(directory)
    path, source = directory / "packed.npz", _stamp(directory / "data")
    if path.exists():
        with np.load(path, allow_pickle=False) as file:
            if int(file["layout"]) == _LAYOUT and str(file["source"]) == source:
                return path
    rows: dict[str, list[np.ndarray]] = {name: [] for name in (*_ROWS, *_PLANES)}
    about: dict[str, list[Any]] = {name: [] for name in ("lengths", "seeds", "simulators", "behaviours", "end_reasons")}
    for episode in iterate_episodes(directory):
        for name in _ROWS:
            array = getattr(episode, name)
            rows[name].append(_led_here(array) if name in TRANSITIONS else array)
        rows["map"].append(_to_nibbles(episode.map))
        # Agents and ego alone: the rest of the view is the map.
        rows["objects"].append(_to_nibbles(np.where(episode.semantic == episode.map, 0, episode.semantic)))
        about["lengths"].append(len(episode) + 1)
        about["seeds"].append(episode.seed)
        about["simulators"].append(episode.simulator)
        about["behaviours"].append(episode.behaviour)
        about["end_reasons"].append(episode.end_reason)
    members = {name: np.array(values) for name, values in about.items()}
    members["layout"], members["source"] = np.array(_LAYOUT), np.array(source)
    members["contract_fingerprint"] = np.array(contract_fingerprint(directory / "data"))
    # bzip2 makes it half the size that deflate would, and numpy reads it all the same.
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_BZIP2) as archive:
        for name in (*members, *rows):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                array = members[name] if name in members else np.concatenate(rows.pop(name))
                np.lib.format.write_array(file, array, allow_pickle=False)
    return path


def _stamp(dataset: Path) -> str:
    """Tells one state of a Minari dataset from another."""
    files = sorted(dataset.glob("*"))
    if not files:
        raise FileNotFoundError(f"no dataset at {dataset}: collect one first")
    return ",".join(f"{file.name}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files)


def _led_here(transitions: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros_like(transitions, shape=(1, *transitions.shape[1:])), transitions])


def _to_nibbles(planes: np.ndarray) -> np.ndarray:
    """Class ids below 16, (..., W) uint8, two in a byte: (..., W / 2) uint8."""
    return planes[..., ::2] << 4 | planes[..., 1::2]


def _from_nibbles(packed: np.ndarray) -> np.ndarray:
    planes = np.empty((*packed.shape[:-1], 2 * packed.shape[-1]), np.uint8)
    planes[..., ::2] = packed >> 4
    planes[..., 1::2] = packed & 15
    return planes
