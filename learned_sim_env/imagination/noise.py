"""Noise as a pure function of (seed, step, column): a counter-based generator.

Nothing is carried from call to call, so a row's noise depends neither on the batch it is in, nor on other rows, nor on
the device. The mixing function is that of SplitMix64 (Steele, Lea, Flood 2014; Stafford's variant 13).
"""

from __future__ import annotations

import torch
from torch import Tensor


def _signed(value: int) -> int:
    return value - (1 << 64)


# 64-bit constants, as the signed integers that torch computes with (products wrap around).
_GOLDEN = _signed(0x9E3779B97F4A7C15)
_STRIDE = _signed(0xD1342543DE82EF95)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)


def uniforms(seeds: Tensor, steps: Tensor, size: int) -> Tensor:
    """Uniform numbers for every row.

    Args:
        seeds: (B,) int64, any value.
        steps: (B,) int64, steps since the row started.
        size: columns; a column's values do not depend on how many there are.

    Returns:
        (B, size) float32 in [0, 1), multiples of 2^-24.
    """
    key = _mix(seeds * _STRIDE + steps * _GOLDEN)
    columns = torch.arange(1, size + 1, device=seeds.device) * _GOLDEN
    bits = _mix(key[:, None] + columns)
    return _shift(bits, 40).to(torch.float32).mul_(2.0**-24)


def _mix(x: Tensor) -> Tensor:
    """Bijection of 64-bit words, in place: an input bit flips any output bit with a probability near a half."""
    x ^= _shift(x, 30)
    x *= _FIRST
    x ^= _shift(x, 27)
    x *= _SECOND
    x ^= _shift(x, 31)
    return x


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift: torch's own keeps the sign."""
    return (x >> bits).bitwise_and_((1 << (64 - bits)) - 1)
