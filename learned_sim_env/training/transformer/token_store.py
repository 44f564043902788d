"""Tokens of recorded frames, kept once the tokenizer is frozen: most frames are learned from many times.

A frame is encoded when it is first asked for, with its neighbours, by any of the processes of a run. Its tokens depend
on the frames that the tokenizer looks back to and on nothing else, so that it does not matter by which; those of the
frame before, moved with the ego, on that frame's tokens and the motion.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.data.packed import PackedData
from learned_sim_env.files import space_for
from learned_sim_env.training.batches import motions
from learned_sim_env.training.transformer.tokenizer_loss import unseen_patches
from learned_sim_env.world_model.transformer.model import DrivingTransformer

# Moments that are encoded together.
PIECE = 32


class TokenStore:
    """Tokens (N, 3, count, channels) float16 of the N rows of packed data, of the frames before them moved, as
    `DrivingTransformer.moved_clips` says, and of those as they were; read as arrays are: `store[rows]`.

    Half of the size of float32, as a state of a dream has them.

    Args:
        model: its tokenizer is frozen; on its device frames are encoded. What data lack of its modalities is hidden.
        data: the episodes; rows of others are not asked for.
        path: of the file, without what tells it from one of another tokenizer or of other data; those are deleted.
            None: in memory.
        bf16: whether matrix products are in bfloat16.

    Raises:
        DiskFull: if there is no space for all tokens.
    """

    def __init__(self, model: DrivingTransformer, data: PackedData, path: Path | None, bf16: bool):
        self._model, self._data, self._bf16 = model, data, bf16
        order = data.starts.argsort()
        self._starts, self._ends = data.starts[order], (data.starts + data.lengths)[order]
        rows = len(data.arrays["actions"])
        shape = (rows, 2, model.tokenizer.count, model.config.channels)
        if path is None:
            self._tokens, self._there = np.zeros(shape, np.float16), np.zeros(rows, bool)
            return
        whole = path.with_name(f"{path.name}-{self._fingerprint()}")
        for other in path.parent.glob(f"{path.name}-*"):
            if not other.name.startswith(whole.name):
                other.unlink(missing_ok=True)
        new = not whole.exists()
        self._tokens = _mapped(whole, np.dtype(np.float16), shape)
        self._there = _mapped(whole.with_name(f"{whole.name}.there"), np.dtype(bool), (rows,))
        if new:
            print(f"tokens of {rows:,} frames are kept in {whole} ({self._tokens.nbytes / 1e9:.2f} GB)", flush=True)

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        """(*rows.shape, 3, count, channels) float16 of rows, int64."""
        rows = np.arange(len(self._there))[rows]
        last = np.maximum(rows - 1, self._start(rows))
        missing = np.unique(np.concatenate([rows[~self._there[rows]], last[~self._there[last]]]))
        start = self._start(missing)
        firsts = np.unique(start + (missing - start) // PIECE * PIECE)
        for first in firsts.tolist():
            self._encode(first)
        return np.concatenate([self._tokens[rows], self._tokens[last, :1]], rows.ndim)

    def _start(self, rows: np.ndarray) -> np.ndarray:
        """Rows with which the episodes of rows begin."""
        return self._starts[np.searchsorted(self._starts, rows, "right") - 1]

    @torch.no_grad()
    def _encode(self, first: int) -> None:
        """A piece of an episode that begins with row `first`."""
        episode = int(np.searchsorted(self._starts, first, "right")) - 1
        last = min(first + PIECE, int(self._ends[episode]))
        # The frame before, and what the encoder's layer over time looks back to, if it is of the episode.
        tokenizer, start = self._model.tokenizer, int(self._starts[episode])
        before = max(first - 1, start)
        rows = slice(max(before - tokenizer.before.past, start), last)
        device = tokenizer.place.device
        names, known = tokenizer.names, self._data.known
        seen = {name: torch.from_numpy(known(name, rows))[None].to(device) for name in names}
        observed = {name: self._observed(name, rows).to(device) for name in names}
        motion = torch.from_numpy(self._motions(np.arange(before, last), start))[None].to(device)
        with torch.autocast(device.type, torch.bfloat16, self._bf16):
            tokens = tokenizer.encode(observed, unseen_patches(tokenizer, seen))[:, before - rows.start :]
            moved = self._model.moved_clips(tokens, motion)
        pair = torch.stack([tokens.half(), moved], 2)[0, first - before :]
        self._tokens[first:last] = pair.cpu().numpy()
        if isinstance(self._tokens, np.memmap):
            # Before it says that they are there.
            self._tokens.flush()
        self._there[first:last] = True

    def _observed(self, name: str, rows: slice) -> Tensor:
        """(1, rows, *shape) of a modality; zeros if the data have none."""
        if self._data.has(name):
            return torch.from_numpy(np.array(self._data.read(name, rows)))[None]
        modality = self._model.contract.modality(name)
        blank = np.zeros((1, rows.stop - rows.start, *modality.shape), modality.dtype)
        return torch.from_numpy(blank)

    def _motions(self, rows: np.ndarray, start: int) -> np.ndarray:
        """(N, 3) float32 that led to rows (N,) of an episode that begins with row `start`; 0 where it is not known."""
        before, known = np.maximum(rows - 1, start), self._data.known
        there = known("ego", rows) & known("pose", rows) & known("pose", before)
        return np.where(there[:, None], motions(self._data, rows, before), 0)

    def _fingerprint(self) -> str:
        """Tells tokens of this tokenizer and these data, moved so, from others."""
        data, model = self._data, self._model
        found = hashlib.sha256(f"{model.draws} {data.fingerprints} {data.modalities} {self._bf16}".encode())
        found.update(f"{model.config.moved}".encode())
        for array in (data.starts, data.lengths, data.seeds, data.logs):
            found.update(str(array.tolist()).encode())
        for start, end in zip(self._starts.tolist(), self._ends.tolist()):
            found.update(self._motions(np.arange(start, end), start).tobytes())
        for name, weight in model.tokenizer.state_dict().items():
            found.update(name.encode() + weight.detach().float().cpu().numpy().tobytes())
        return found.hexdigest()[:12]


def _mapped(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """A file as an array, of zeros if it is new; several processes may do this at once."""
    size = dtype.itemsize * int(np.prod(shape))
    path.parent.mkdir(parents=True, exist_ok=True)
    with space_for(path), open(path, "ab") as file:
        if hasattr(os, "posix_fallocate"):
            # Reserved now: a full disk would end the process later, without a word.
            os.posix_fallocate(file.fileno(), 0, size)
        elif os.fstat(file.fileno()).st_size < size:
            file.truncate(size)
    return np.memmap(path, dtype, "r+", 0, shape)
