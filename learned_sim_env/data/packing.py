"""How many episodes become contiguous arrays, one row a moment, and how these lie in one file.

Members of the file: arrays by their name in the episode's `SCHEMA`, `observations.<modality>`, `valid.<part>`, and what
is known of each episode. Where a part is missing, rows hold what `unknown_rows` says, and its mask is False.
Views from above and maps take four bits a pixel, a view what differs from the map, which is hardly anything. Cameras
have `<camera>.starts` and `<camera>.sizes` of frames that lie one after the other in the member "frames".
"""

from __future__ import annotations

import struct
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from learned_sim_env.data.episode import METADATA, MOMENTS, PART_OF, SCHEMA, TRANSITIONS, Episode
from learned_sim_env.data.frames import Frames, write_frames
from learned_sim_env.data.pieces import Growing, Pieces, ready

FRAMES = "frames"
SEEN, MASK = "observations.", "valid."
# What is known of every episode, by its name in `PackedData`.
ABOUT = {"seeds": "seed", "simulators": "simulator", "behaviours": "behaviour", "end_reasons": "end_reason"}
ABOUT.update(logs="log", splits="split")
assert set(ABOUT.values()) == set(METADATA)
_VIEW = MOMENTS["map"][0]


class Packer:
    """Takes episodes one by one, then gives the members of the file; memory stays flat in the number of moments.

    file: camera frames are appended to it. spool: everything else is kept there until then.
    """

    def __init__(self, file: BinaryIO, spool: BinaryIO) -> None:
        self._file, self._written, self._rows = file, 0, 0
        self._pieces = Pieces(spool)
        self._about: dict[str, list[int | str]] = {name: [] for name in ("lengths", *ABOUT)}
        self._shapes: dict[str, tuple[int, ...]] = {}
        # By mask: at how many moments it is True.
        self._known: Counter[str] = Counter()

    def add(self, episode: Episode) -> None:
        """Append an episode. `ValueError` if one of its modalities has another shape than in those before."""
        moments = len(episode) + 1
        for name, array in episode.arrays().items():
            if name not in SCHEMA:
                self._add_modality(episode, name, array)
            elif name != "map":
                self._add(name, _led_here(array) if name in TRANSITIONS else array)
        if episode.map is not None:
            self._add("map", _to_nibbles(episode.map))
        for part in (*episode.observations, "actions", *episode.parts):
            mask = episode.valid.get(part, np.ones(moments, bool))
            self._known[MASK + part] += int(mask.sum())
            self._add(MASK + part, mask)
        self._about["lengths"].append(moments)
        for name, field in ABOUT.items():
            self._about[name].append(getattr(episode, field))
        self._rows += moments

    def _add_modality(self, episode: Episode, name: str, seen: np.ndarray) -> None:
        shape = seen.shape[1:]
        if self._shapes.setdefault(name, shape) != shape:
            raise ValueError(f"episode {episode.seed}: {name} has shape {shape}, not {self._shapes[name]} as before")
        if is_camera(shape, seen.dtype):
            there = episode.valid.get(name, np.ones(len(seen), bool))
            sizes = np.zeros(len(seen), np.int64)
            sizes[there] = write_frames(self._file, seen[there])
            self._add(f"{name}.sizes", sizes)
            self._add(f"{name}.starts", self._written + np.cumsum(sizes) - sizes)
            self._written += int(sizes.sum())
        elif name == "bev" and shape == _VIEW:
            self._add(SEEN + name, _to_nibbles(seen if episode.map is None else seen ^ episode.map))
        else:
            self._add(SEEN + name, seen)

    def _add(self, name: str, piece: np.ndarray) -> None:
        self._pieces.add(name, self._rows, piece)

    def members(self) -> Iterator[tuple[str, Growing]]:
        """All members but the frames; each has to be used before the next one is asked for."""
        for name, values in self._about.items():
            yield name, ready(np.array(values))
        cameras = {name: shape for name, shape in self._shapes.items() if f"{name}.sizes" in self._pieces}
        yield "cameras", ready(np.array(list(cameras), np.str_))
        yield "camera_shapes", ready(np.array(list(cameras.values()), np.int64).reshape(-1, 3))
        for name in self._pieces:
            # What is known everywhere needs no mask.
            if self._known.get(name) != self._rows:
                yield name, self._pieces.array(name, self._rows)


def unpacked(
    members: Mapping[str, np.ndarray], data: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, Frames], dict[str, np.ndarray]]:
    """Arrays, cameras and masks by name, from the members of a file and the bytes (n,) uint8 of its frames."""
    arrays = {name: members[name] for name in SCHEMA if name in members}
    if "map" in arrays:
        arrays["map"] = _from_nibbles(arrays["map"])
    for name in members:
        if name.startswith(SEEN):
            arrays[name.removeprefix(SEEN)] = members[name]
    if "bev" in arrays and 2 * arrays["bev"].shape[-1] == _VIEW[-1]:
        arrays["bev"] = _from_nibbles(arrays["bev"])
        if "map" in arrays:
            arrays["bev"] ^= arrays["map"]
    cameras = {
        str(name): Frames(data, members[f"{name}.starts"], members[f"{name}.sizes"], tuple(map(int, shape)))
        for name, shape in zip(members["cameras"], members["camera_shapes"])
    }
    masks = {name.removeprefix(MASK): mask for name, mask in members.items() if name.startswith(MASK)}
    return arrays, cameras, masks


def unpacked_before(members: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays by name from the members of a file of layout 2, in which a view was its map where it held zeros."""
    arrays = {name: members[name] for name in SCHEMA if name in members}
    arrays["ego"], arrays["map"] = members["ego"], _from_nibbles(members["map"])
    arrays["bev"] = _from_nibbles(members["objects"])
    np.copyto(arrays["bev"], arrays["map"], where=arrays["bev"] == 0)
    return arrays


def on_disk(path: Path, member: str) -> np.ndarray:
    """(n,) uint8: a member of a zip file that is stored as it is, read from the disk when it is looked at."""
    with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
        info = archive.getinfo(member)
        file.seek(info.header_offset)
        # A local file header (APPNOTE.TXT of the zip format, section 4.3.7): 30 bytes, a name, extra fields, the data.
        name, extra = struct.unpack("<26xHH", file.read(30))
        if info.compress_type != zipfile.ZIP_STORED or not info.file_size:
            raise ValueError(f"{member} in {path} is compressed or empty: pack it again")
        return np.memmap(path, np.uint8, "r", info.header_offset + 30 + name + extra, (info.file_size,))


def is_camera(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Whether a modality of this kind is kept as compressed frames."""
    return len(shape) == 3 and shape[-1] == 3 and dtype == np.uint8


def masked_by(name: str) -> str:
    """Name of the mask that tells where an array is known: of its part, or of itself, as for modalities."""
    return PART_OF.get(name, name)


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
