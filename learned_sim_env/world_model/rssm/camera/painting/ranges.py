"""How far away what a picture shows is, as it is kept: a byte."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# [m] What is farther than this is as good as infinitely far.
FARTHEST = 90.0


def log_range(distance: Tensor) -> Tensor:
    """Logarithms of distances [m] over the ground, all of those beyond `FARTHEST` the same."""
    return distance.clamp(1.0, FARTHEST).log()


def as_bytes(ranges: Tensor) -> Tensor:
    """Logarithms of ranges as they are kept: uint8."""
    return (ranges * (255 / math.log(FARTHEST))).round().clamp(0, 255).to(torch.uint8)


def from_bytes(kept: float) -> float:
    """What was kept `as_bytes`, nearly."""
    return kept * math.log(FARTHEST) / 255
