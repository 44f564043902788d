"""Normal numbers from uniform ones, and the fixed noise of frames that are done with."""

from __future__ import annotations

import torch
from torch import Tensor

# Different patterns of noise in frames that are done with, taken in turn.
PATTERNS = 16


def normals(uniforms: Tensor) -> Tensor:
    """Standard normal numbers, float32, at which their distribution function is `uniforms` in [0, 1), float32.

    Uniforms are multiples of 2^-24, see `imagination.noise`, and are taken as the middles of such intervals: none is at
    an end. In double precision, so that what a CPU rounds does not depend on where in a tensor a number stands.
    """
    return torch.special.ndtri(uniforms.double() + 2.0**-25).float()


def patterns(count: int, channels: int, deviation: float, seed: int) -> Tensor:
    """(PATTERNS, count, channels) float32, normal with a standard deviation.

    No chance: a frame that is done with is shown with the same noise whenever its row comes there. Training showed
    such frames with noise, see `TransformerConfig.context_signal`, but a dream's chance is about the next frame alone,
    and a real observation leaves nothing to chance.
    """
    chance = torch.Generator().manual_seed(seed)
    return deviation * torch.randn(PATTERNS, count, channels, generator=chance)
