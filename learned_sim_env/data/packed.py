"""Many episodes as contiguous arrays, for training and evaluation."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.data.episode import MODALITIES, PARTS, SCHEMA, TRANSITIONS, Episode
from learned_sim_env.data.frames import Rows
from learned_sim_env.data.packing import ABOUT, FRAMES, Packer, masked_by, on_disk, unpacked, unpacked_before
from learned_sim_env.data.pieces import ready
from learned_sim_env.data.splits import SPLITS, split_of
from learned_sim_env.files import replacing
from learned_sim_env.spec import Contract, Fingerprints, unknown

# Raised when the layout of the packed file changes, so that older ones are made anew; layout 2 is still read.
LAYOUT = 3


@dataclass(frozen=True, eq=False)
class PackedData:
    """Many episodes as contiguous arrays, one row a moment: an episode of T steps has T + 1 rows.

    arrays: modalities other than cameras, and names of the episode's `SCHEMA`, (N, ...) with their dtype; what no
    episode has is not there. Transitions stand in the row they lead to: `arrays["actions"][i]` led from row i - 1 to
    row i, and the first row of an episode has zeros there.
    frames: cameras, by modality; they stay compressed, on disk if they were loaded, see `read`.
    valid: (N,) bool, where a modality, a part or "actions" is known, by name; what has none is known everywhere.
    starts, lengths: (E,) int64, first row and number of rows of each episode. seeds: (E,) int64.
    simulators, behaviours, end_reasons, logs, splits: (E,) str.
    fingerprints: of the task and the modalities that the data was recorded with.
    path: of the file that it was loaded from, if it was.
    """

    arrays: dict[str, np.ndarray]
    starts: np.ndarray
    lengths: np.ndarray
    seeds: np.ndarray
    simulators: np.ndarray
    behaviours: np.ndarray
    end_reasons: np.ndarray
    logs: np.ndarray
    splits: np.ndarray
    fingerprints: Fingerprints
    frames: Mapping[str, Rows] = field(default_factory=dict)
    valid: dict[str, np.ndarray] = field(default_factory=dict)
    path: Path | None = None

    @staticmethod
    def of(episodes: Iterable[Episode], fingerprints: Fingerprints) -> PackedData:
        """Episodes packed in memory."""
        file = io.BytesIO()
        packer = Packer(file, io.BytesIO())
        for episode in episodes:
            packer.add(episode)
        members = {name: member.whole() for name, member in packer.members()}
        return PackedData._of(members, *unpacked(members, np.frombuffer(file.getbuffer(), np.uint8)), fingerprints)

    @staticmethod
    def save(path: Path, episodes: Iterable[Episode], fingerprints: Fingerprints, source: str = "") -> None:
        """Write a file for `load`, atomically, with one episode in memory at a time.

        source: tells what the episodes were made from.
        """
        # bzip2 makes it half the size that deflate would, and numpy reads it all the same.
        with (
            replacing(path) as temporary,
            tempfile.TemporaryFile(dir=path.parent) as spool,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_BZIP2) as archive,
        ):
            with archive.open(zipfile.ZipInfo(FRAMES), "w", force_zip64=True) as frames:  # Stored as they are.
                packer = Packer(frames, spool)  # type: ignore[arg-type]
                for episode in episodes:
                    packer.add(episode)
            about = {"layout": LAYOUT, "source": source, "fingerprints": str(fingerprints)}
            for name, member in (*((k, ready(np.array(v))) for k, v in about.items()), *packer.members()):
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    member.write(file)  # type: ignore[arg-type]

    @staticmethod
    def load(path: Path | str) -> PackedData:
        """Read a file that `dataset.pack` has written, in this or the version before; it needs nothing else."""
        with np.load(path, allow_pickle=False) as file:
            layout = int(file["layout"])
            if layout not in (2, LAYOUT):
                raise ValueError(f"{path} has layout {layout}, this version reads 2 and {LAYOUT}: pack it again")
            members = {name: file[name] for name in file.files if name != FRAMES}
        if layout == 2:
            fingerprints = Fingerprints.parse(str(members["contract_fingerprint"]))
            return PackedData._of(members, unpacked_before(members), {}, {}, fingerprints, Path(path))
        data = on_disk(Path(path), FRAMES) if len(members["cameras"]) else np.zeros(0, np.uint8)
        fingerprints = Fingerprints.parse(str(members["fingerprints"]))
        return PackedData._of(members, *unpacked(members, data), fingerprints, Path(path))

    @staticmethod
    def count_steps(path: Path | str, split: str) -> int:
        """Number of steps of a split in a file that `load` reads, without reading more of it."""
        with np.load(path, allow_pickle=False) as file:
            about = {name: file[name] for name in ("lengths", *ABOUT) if name in file.files}
        return PackedData._of(about, {}, {}, {}, Fingerprints("", {})).split(split).steps

    @staticmethod
    def _of(
        members: dict[str, np.ndarray],
        arrays: dict[str, np.ndarray],
        frames: Mapping[str, Rows],
        valid: dict[str, np.ndarray],
        fingerprints: Fingerprints,
        path: Path | None = None,
    ) -> PackedData:
        lengths = members["lengths"].astype(np.int64)
        # Files of earlier versions have no splits.
        about = {name: members.get(name, np.full(len(lengths), "")) for name in ABOUT}
        starts = np.cumsum(lengths) - lengths
        return PackedData(
            arrays, starts, lengths, **about, fingerprints=fingerprints, frames=frames, valid=valid, path=path
        )

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.seeds)

    def check_contract(self, contract: Contract, names: Iterable[str] = MODALITIES) -> None:
        """`ValueError` if the data was recorded for another task, or lacks the contract's modalities `names`."""
        contract.check("the data", self.fingerprints, names)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of all modalities that some episode has."""
        return (*(name for name in self.arrays if name not in SCHEMA), *self.frames)

    def has(self, name: str) -> bool:
        """Whether any episode has the modality, array or part called so."""
        return PARTS.get(name, (name,))[0] in self.arrays or name in self.frames

    def read(self, name: str, rows: np.ndarray | slice) -> np.ndarray:
        """(*rows.shape, *shape): rows of a modality or another array; `ValueError` if no episode has it."""
        found: Rows | np.ndarray | None = self.frames.get(name, self.arrays.get(name))
        if found is None:
            raise unknown("modality or array of the data:", name, (*self.frames, *self.arrays))
        return found[rows]

    def known(self, name: str, rows: np.ndarray | slice) -> np.ndarray:
        """(*rows.shape,) bool: where the modality, array or part called so is known."""
        mask = self.valid.get(masked_by(name))
        if mask is not None:
            return mask[rows]
        shape = rows.shape if isinstance(rows, np.ndarray) else self.arrays["actions"][rows].shape[:1]
        return np.full(shape, self.has(name))

    @property
    def steps(self) -> int:
        """Number of steps in all episodes."""
        return int((self.lengths - 1).sum())

    def split(self, name: str) -> PackedData:
        """The episodes of one of `SPLITS`; the arrays are shared, only the episodes listed differ."""
        if name not in SPLITS:
            raise unknown("split", name, SPLITS)
        splits = (split_of(int(seed), str(log), str(own)) for seed, log, own in zip(self.seeds, self.logs, self.splits))
        return self.select(np.array([split == name for split in splits], bool))

    def select(self, which: np.ndarray) -> PackedData:
        """The episodes that a mask (E,) bool or indices name; the arrays are shared."""
        return replace(self, **{name: getattr(self, name)[which] for name in ("starts", "lengths", *ABOUT)})

    def having(self, names: Iterable[str]) -> PackedData:
        """The episodes in which all of these modalities, parts or arrays are known throughout.

        Raises:
            ValueError: if there is none.
        """
        names, bounds = tuple(names), zip(self.starts, self.starts + self.lengths)
        which = np.array([all(self.known(name, slice(a, b)).all() for name in names) for a, b in bounds], bool)
        if len(self) and not which.any():
            raise ValueError(f"none of the {len(self)} episodes has {', '.join(names)} throughout")
        return self if which.all() else self.select(which)

    def episode(self, index: int) -> Episode:
        """One episode; its arrays are views, its camera frames read anew."""
        rows = slice(int(self.starts[index]), int(self.starts[index] + self.lengths[index]))
        steps = slice(rows.start + 1, rows.stop)
        masks = {name: self.known(name, rows) for name in (*self.modalities, "actions", *PARTS)}
        there = {name for name, mask in masks.items() if mask.any()} | {"ego", "actions"}
        parts = {name for part in there & set(PARTS) for name in PARTS[part]}
        parts |= {name for name in SCHEMA if masked_by(name) not in PARTS}
        fields: dict[str, Any] = {field: getattr(self, name)[index].item() for name, field in ABOUT.items()}
        fields.update(
            {name: self.arrays[name][steps if name in TRANSITIONS else rows] for name in SCHEMA if name in parts}
        )
        return Episode(
            **fields,
            observations={name: self.read(name, rows) for name in self.modalities if name in there},
            valid={name: mask for name, mask in masks.items() if name in there and not mask.all()},
        )
