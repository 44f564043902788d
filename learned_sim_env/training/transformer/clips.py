"""Clips: successive moments of recordings, of which actions, places and outcomes may be unknown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor


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
