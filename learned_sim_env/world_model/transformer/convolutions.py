"""Convolutions between pictures and squares of `CELL` pixels a side, residual and without normalisation.

All tensors are (B, height, width, channels), which is what a CPU is fastest with. Linear layers are torch's own:
`by_rows` lets them see one row at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.world_model.layers import shuffled, unshuffled

# Pixels a side of the squares that networks begin and end with, and of those that tokens stand for.
PIXELS, CELL = 4, 16

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


class Conv(nn.Conv2d):
    """A convolution of 3 x 3, whose output has the variance of its input at first."""

    def __init__(self, size: int, out: int):
        super().__init__(size, out, 3, padding=1)
        _keep_variance(self)
        self.weight.data = self.weight.data.contiguous(memory_format=torch.channels_last)

    def forward(self, input: Tensor) -> Tensor:
        """(B, H, W, size) to (B, H, W, out)."""
        return super().forward(input.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class Block(nn.Module):
    """Two convolutions, which add nothing at first (EDSR, arXiv 1707.02921)."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = Conv(width, width), Conv(width, width)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, width) to the same shape."""
        return x + self.second(F.silu(self.first(x)))


class PictureEncoder(nn.Module):
    """Pictures to cells: convolutions `widths` wide for squares of 4 and of 8 pixels, and so many residual `blocks`."""

    def __init__(self, channels: int, widths: tuple[int, int], blocks: tuple[int, int], width: int):
        super().__init__()
        fine, coarse = widths
        self.inward = Conv(PIXELS**2 * channels, fine)
        self.fine, self.coarse = (nn.Sequential(*(Block(a) for _ in range(b))) for a, b in zip(widths, blocks))
        self.down, self.out = (_keep_variance(nn.Linear(4 * a, b)) for a, b in ((fine, coarse), (coarse, width)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H / 4, W / 4, 16 * channels), see `unshuffled`, to (B, H / 16, W / 16, width)."""
        x = self.fine(self.inward(x))
        x = self.coarse(self.down(unshuffled(x, 2)))
        return self.out(unshuffled(x, 2))


class PictureDecoder(nn.Module):
    """Cells to pictures, as `PictureEncoder` the other way round."""

    def __init__(self, channels: int, widths: tuple[int, int], blocks: tuple[int, int], width: int):
        super().__init__()
        fine, coarse = widths
        self.inward, self.up = (_keep_variance(nn.Linear(a, 4 * b)) for a, b in ((width, coarse), (coarse, fine)))
        self.fine, self.coarse = (nn.Sequential(*(Block(a) for _ in range(b))) for a, b in zip(widths, blocks))
        self.out = Conv(fine, PIXELS**2 * channels)
        for layer, squares in ((self.inward, 4), (self.up, 4), (self.out, PIXELS**2)):
            # The pixels of a square begin alike, or they would form a pattern (arXiv 1707.02937).
            first = layer.weight.data[: len(layer.weight) // squares]
            layer.weight.data.copy_(first.repeat(squares, *[1] * (first.ndim - 1)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H / 16, W / 16, width) to (B, H, W, channels)."""
        x = self.coarse(shuffled(self.inward(x), 2))
        x = self.fine(shuffled(self.up(x), 2))
        return shuffled(self.out(x), PIXELS)


def by_rows(network: Callable[[Tensor], Tensor], x: Tensor, size: int) -> Tensor:
    """What a network makes of x (B * size, ...), `size` of a row at a time: each row the same to the bit whatever the
    others and however many.

    This holds on a CPU, for a frozen model: how convolutions round there depends on how many pictures there are.
    """
    if torch.is_grad_enabled() or x.device.type != "cpu" or len(x) == size:
        return network(x)
    return torch.cat([network(row) for row in x.split(size)])


def _keep_variance(layer: Layer) -> Layer:
    nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
