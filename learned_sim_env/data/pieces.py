"""Arrays that grow piece by piece in a file, so that memory does not grow with them."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from learned_sim_env.data.episode import unknown_rows

# Rows that are made up at a time where there is no piece.
_GAP = 256


class Growing(NamedTuple):
    """An array (N, *shape) that is handed over in blocks of rows (n, *shape), in order."""

    shape: tuple[int, ...]
    dtype: np.dtype
    blocks: Iterator[np.ndarray]

    def whole(self) -> np.ndarray:
        """All of it in memory; the blocks are used up."""
        array, row = np.empty(self.shape, self.dtype), 0
        for block in self.blocks:
            array[row : row + len(block)] = block
            row += len(block)
        return array

    def write(self, file: BinaryIO) -> None:
        """As a `.npy` file, a block in memory at a time; the blocks are used up."""
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(file, header)
        for block in self.blocks:
            file.write(block.tobytes())


def ready(array: np.ndarray) -> Growing:
    """An array that is in memory."""
    return Growing(array.shape, array.dtype, iter((array,)))


class Pieces:
    """Pieces of arrays, by name, with rows between them that nothing is known of.

    file: pieces are appended to it, deflated, and read from it again. Memory holds only where they lie.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        # By name: shape and type of a row; first row, rows, place in the file and bytes of each piece.
        self._rows: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
        self._places: dict[str, list[tuple[int, int, int, int]]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def add(self, name: str, first: int, piece: np.ndarray) -> None:
        """Rows `first` and following of an array; pieces come in order, and have the type of the first one."""
        _, dtype = self._rows.setdefault(name, (piece.shape[1:], piece.dtype))
        place = self._file.seek(0, os.SEEK_END)
        size = self._file.write(zlib.compress(piece.astype(dtype, copy=False).tobytes(), 1))
        self._places.setdefault(name, []).append((first, len(piece), place, size))

    def array(self, name: str, rows: int) -> Growing:
        """The array of so many rows, see `episode.unknown_rows` for those that are in no piece."""
        shape, dtype = self._rows[name]
        return Growing((rows, *shape), dtype, self._blocks(name, rows))

    def _blocks(self, name: str, rows: int) -> Iterator[np.ndarray]:
        (shape, dtype), row = self._rows[name], 0
        for first, count, place, size in (*self._places[name], (rows, 0, 0, 0)):
            while row < first:
                unknown = unknown_rows(name, (min(_GAP, first - row), *shape), dtype)
                yield unknown
                row += len(unknown)
            if count:
                self._file.seek(place)
                yield np.frombuffer(zlib.decompress(self._file.read(size)), dtype).reshape(count, *shape)
                row += count
