"""Recorded episodes as agents learn from them: real moments to begin dreams at, and what a policy would have seen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from learned_sim_env.agents.decisions import decided_by
from learned_sim_env.data.packed import PackedData
from learned_sim_env.files import replacing
from learned_sim_env.imagination import Inference
from learned_sim_env.training.export.export import choose_contexts
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.contexts import Contexts
from learned_sim_env.world_model.protocol import device_of

# Episodes that are filtered together.
TOGETHER = 64


def training_episodes(checkpoint: Checkpoint, data: PackedData) -> PackedData:
    """The episodes of the training split in which the model's modalities are known throughout.

    Raises:
        ValueError: if they were recorded for another task, or there is none.
    """
    data.check_contract(checkpoint.contract, checkpoint.model.observes)
    return data.split("train").having(checkpoint.model.observes)


def moments_and_left(episodes: PackedData, parts: tuple[str, ...] = ("actions",)) -> tuple[np.ndarray, np.ndarray]:
    """Rows (N,) of all moments of all episodes, and (N,) int64 how many steps follow each of which `parts` are known.

    What is known of a step stands at the moment that it led to.
    """
    rows, left = [], []
    for start, length in zip(episodes.starts, episodes.lengths):
        moments = int(start) + np.arange(length)
        known = np.all([episodes.known(part, moments[1:]) for part in parts], 0)
        # The first step, from each moment on, of which something is not known; the episode's end, if there is none.
        unknown = np.append(np.where(known, length - 1, np.arange(length - 1)), length - 1)
        rows.append(moments)
        left.append(np.minimum.accumulate(unknown[::-1])[::-1] - np.arange(length))
    return np.concatenate(rows), np.concatenate(left)


def real_moments(checkpoint: Checkpoint, data: PackedData | None, count: int, seed: int) -> Contexts:
    """The checkpoint's contexts and, where there are episodes, up to `count` moments of the training split."""
    if data is None or not count:
        return checkpoint.contexts
    data.check_contract(checkpoint.contract, checkpoint.model.observes)
    chosen = choose_contexts(data, count, checkpoint.model, seed, split="train", fewer=True)
    return Contexts.joined([checkpoint.contexts, chosen])


@dataclass(frozen=True, eq=False)
class Moments:
    """N moments of recorded episodes, in order, as a policy would have seen them.

    features: (N, size) float32, filtered. decided: (N, ...), what was decided there, see `decisions.decided_by`; of an
    episode's last moment it says nothing. left: (N,) int64, how many steps follow whose actions are known.
    """

    features: torch.Tensor
    decided: torch.Tensor
    left: torch.Tensor

    def __len__(self) -> int:
        return len(self.left)

    def ahead(self, rows: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What was decided at moments `rows` (n,) and the ones after each: (n, count, ...); and (n, count) bool, where
        that is known."""
        later = rows[:, None] + torch.arange(count)
        return self.decided[later.clamp_max(len(self) - 1)], torch.arange(count) < self.left[rows][:, None]


def recorded_moments(checkpoint: Checkpoint, data: PackedData, kind: str) -> Moments:
    """All moments of the training split's episodes.

    kind: of what is decided.
    """
    episodes = training_episodes(checkpoint, data)
    rows, left = moments_and_left(episodes)
    # The action that stands at a moment led to it; a moment's own stands at the next one.
    actions = np.where(left[:, None] > 0, episodes.arrays["actions"][np.where(left > 0, rows + 1, rows)], 0.0)
    features = _kept(checkpoint, episodes)
    return Moments(
        torch.from_numpy(features),
        torch.from_numpy(decided_by(kind, actions.astype(np.float32), episodes.arrays["ego"][rows])),
        torch.from_numpy(left),
    )


def _kept(checkpoint: Checkpoint, episodes: PackedData) -> np.ndarray:
    """(N, size) float32 features of all moments.

    They are kept beside the file of the episodes, where that can be written to: to filter takes longer than to learn.
    """
    if episodes.path is None:
        return np.concatenate(list(_filtered(checkpoint, episodes)))
    file = episodes.path.stat()
    made_of = (checkpoint.fingerprint, file.st_size, file.st_mtime_ns, episodes.starts.tolist())
    name = f"{episodes.path.stem}-{hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]}.npy"
    path = episodes.path.with_name(name)
    if path.is_file():
        return np.load(path)
    features = np.concatenate(list(_filtered(checkpoint, episodes)))
    with suppress(OSError), replacing(path) as temporary, open(temporary, "wb") as written:
        np.save(written, features)
    return features


def _filtered(checkpoint: Checkpoint, episodes: PackedData) -> Iterator[np.ndarray]:
    """(T, size) float32 features of each episode's moments, filtered as a driver's are."""
    model = checkpoint.model
    inference = Inference(device_of(model), TOGETHER)
    bar = tqdm(desc="filtering recorded episodes", total=len(episodes), unit="episode", leave=False)
    for first in range(0, len(episodes), TOGETHER):
        starts, lengths = (a[first : first + TOGETHER] for a in (episodes.starts, episodes.lengths))
        features = np.zeros((len(starts), lengths.max(), model.latent_size), np.float32)
        with inference():
            state = model.initial(len(starts))
            for t in range(int(lengths.max())):
                # Episodes that are over stay where they ended; what is said of them is left out.
                rows = starts + np.minimum(t, lengths - 1)
                seen = {n: torch.from_numpy(episodes.read(n, rows)).to(inference.device) for n in model.observes}
                state = model.observe(state, seen["ego"][:, 2:4].contiguous(), seen)
                features[:, t] = model.features(state).float().cpu().numpy()
                bar.update(int((lengths == t + 1).sum()))
        yield from (row[:length] for row, length in zip(features, lengths))
    bar.close()
