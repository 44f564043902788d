"""Reading a collection: episodes one by one from the Minari dataset, or all of them packed for training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from learned_sim_env.data.episode import Episode
from learned_sim_env.data.packed import LAYOUT, PackedData
from learned_sim_env.data.splits import SPLITS, split_of
from learned_sim_env.data.store import fingerprints_of, read_minari
from learned_sim_env.spec import unknown

__all__ = ["PackedData", "iterate_episodes", "load_episodes", "pack", "packed_file"]

# What writes the folders that are read here.
MADE_BY = "learned-sim collect or import"


def iterate_episodes(directory: Path | str, split: str | None = None) -> Iterator[Episode]:
    """Episodes of the collection in `directory`, in ascending order of seed, or those of one of `SPLITS` only."""
    if split is not None and split not in SPLITS:
        raise unknown("split", split, SPLITS)
    for episode in read_minari(Path(directory) / "data"):
        if split is None or split_of(episode.seed, episode.log, episode.split) == split:
            yield episode


def load_episodes(directory: Path | str, split: str | None = None) -> list[Episode]:
    """`iterate_episodes` as a list; about 10 kB of memory a frame, and 18 for each camera."""
    return list(iterate_episodes(directory, split))


def pack(directory: Path | str) -> Path:
    """The whole collection as one small file, `directory/packed.npz`: 200 bytes a frame, and 6 kB for each camera.

    It is made from the Minari dataset when it is missing or the dataset has changed since, and needs nothing else
    to be read.
    """
    directory = Path(directory)
    path, source = directory / "packed.npz", _stamp(directory / "data")
    if path.exists():
        with np.load(path, allow_pickle=False) as file:
            if int(file["layout"]) == LAYOUT and str(file["source"]) == source:
                return path
    PackedData.save(path, iterate_episodes(directory), fingerprints_of(directory / "data"), source)
    return path


def packed_file(path: Path) -> Path:
    """The packed file of a folder of `collect` or `import`, see `pack`; or `path` itself, if it is such a file.

    Raises:
        FileNotFoundError: if there is nothing at `path`, or no dataset in the folder.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: name a folder that {MADE_BY} has written, or a packed file")
    return pack(path) if path.is_dir() else path


def _stamp(dataset: Path) -> str:
    """Tells one state of a Minari dataset from another."""
    files = sorted(dataset.glob("*"))
    if not files:
        raise FileNotFoundError(f"no dataset at {dataset}: name a folder that {MADE_BY} has written")
    return ",".join(f"{file.name}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files)
