"""Clips: successive moments of recordings, of which actions, places and outcomes may be unknown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.scene import to_frame, wrap_angle
from learned_sim_env.spec import unknown
from learned_sim_env.task import GRADED_TERMS


@dataclass(frozen=True)
class Clips:
    """B clips of T moments.

    observations: by modality (B, T, *shape). valid: (B, T) bool, false beyond the end of an episode.
    actions: (B, T, 2), action t led to moment t; labelled: (B, T) bool, where it is known.
    ego: (B, T, 6), see `spec.EGO_FIELDS`; motion: (B, T, 3), of the step that led to the moment; placed: (B, T) bool,
    where both are known.
    terms: (B, T, 4), events: (B, T, 4) bool, of that step; judged: (B, T) bool, where both are known.
    """

    observations: dict[str, Tensor]
    valid: Tensor
    actions: Tensor
    labelled: Tensor
    ego: Tensor
    motion: Tensor
    placed: Tensor
    terms: Tensor
    events: Tensor
    judged: Tensor

    def each(self, change: Callable[[Tensor], Tensor]) -> Clips:
        """The same, every tensor changed."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        observations = {name: change(value) for name, value in values.pop("observations").items()}
        return Clips(observations, **{name: change(value) for name, value in values.items()})

    def to(self, device: torch.device | str) -> Clips:
        """The same on another device."""
        return self.each(lambda x: x.to(device))

    def unlabelled(self) -> Clips:
        """The same as mere video: nothing is known but what was observed."""
        known = {name: torch.zeros_like(self.valid) for name in ("labelled", "placed", "judged")}
        return Clips(**{**{f.name: getattr(self, f.name) for f in fields(self)}, **known})


class ClipSampler:
    """Draws clips of recorded episodes; which, depends on the key alone: a resumed run repeats them.

    Args:
        data: the episodes.
        modalities: that are observed.
        labelled: share of the episodes whose actions, places and outcomes are known; the others are mere video. Those
            of a smaller share are among those of a larger one.

    Raises:
        ValueError: if there are no episodes, or a modality is not in them.
    """

    def __init__(self, data: PackedData, modalities: Sequence[str], labelled: float = 1.0):
        if not len(data):
            raise ValueError("the data set has no episodes for this split: collect more")
        self.data, self.modalities = data, tuple(modalities)
        for name in self.modalities:
            if _stored(name) not in data.arrays:
                raise unknown("modality of the data", name, list(data.arrays))
        draws = np.array([np.random.default_rng((int(seed), 7)).random() for seed in data.seeds])
        self.known = draws < labelled
        self._last = np.cumsum(data.lengths)

    def sample(self, size: int, frames: int, *key: int) -> Clips:
        """`size` clips of `frames` moments; those of episodes that are shorter have moments that are not valid."""
        rng = np.random.default_rng(key)
        episode = np.searchsorted(self._last, rng.integers(self._last[-1], size=size), side="right")
        # Some would begin too early or end too late, and are moved to where they fit: what is at the ends of an episode
        # is seen as often as the rest.
        lengths = self.data.lengths[episode]
        start = (rng.random(size) * (lengths + frames)).astype(np.int64) - frames // 2
        return self.clips(episode, np.clip(start, 0, np.maximum(lengths - frames, 0)), frames)

    def clips(self, episode: np.ndarray, start: np.ndarray, frames: int) -> Clips:
        """The clips from moments `start` (B,) of episodes numbered `episode` (B,) on."""
        a, moment = self.data.arrays, start[:, None] + np.arange(frames)
        valid = moment < self.data.lengths[episode, None]
        # Past the end the last moment is repeated; `valid` says so.
        moment = np.minimum(moment, self.data.lengths[episode, None] - 1)
        row = self.data.starts[episode, None] + moment
        stepped = moment > 0
        pose, before = a["ego_pose"][row], a["ego_pose"][np.where(stepped, row - 1, row)]
        motion = np.concatenate(
            [to_frame(pose[..., :2], before), wrap_angle(pose[..., 2:] - before[..., 2:])], -1
        ).astype(np.float32)
        known = np.broadcast_to(self.known[episode, None], valid.shape)
        arrays = {
            "valid": valid,
            "actions": a["actions"][row],
            "labelled": known,
            "ego": a["ego"][row],
            "motion": motion,
            "placed": known,
            "terms": a["reward_terms"][row][..., : len(GRADED_TERMS)],
            "events": a["events"][row],
            "judged": known & stepped,
        }
        seen = {name: torch.from_numpy(a[_stored(name)][row]) for name in self.modalities}
        return Clips(seen, **{name: torch.from_numpy(value.copy()) for name, value in arrays.items()})


def _stored(name: str) -> str:
    """What an array of packed data is called."""
    return {"bev": "semantic"}.get(name, name)
