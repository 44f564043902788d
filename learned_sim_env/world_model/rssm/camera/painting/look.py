"""How the world looks, as a few numbers read off real pictures: light, weather, colours of the ground."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Pictures are looked at in squares of this many pixels a side, and told apart above and below the horizon.
STRIDE, HALVES = 4, 2
WIDTH = 64


class Look(nn.Module):
    """C pictures of one moment to a code of `size` numbers, that is kept while the world is dreamt."""

    def __init__(self, cameras: int, size: int):
        super().__init__()
        self.size = size
        self.squares = nn.Conv2d(3 * STRIDE**2, WIDTH, 3, padding=1)
        self.around = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.code = nn.Linear(WIDTH * HALVES * cameras, size)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, C, H, W, 3) uint8 to (B, size) float32."""
        b = len(pictures)
        x = pictures.flatten(0, 1).permute(0, 3, 1, 2).to(self.squares.weight.dtype) / 127.5 - 1
        x = F.silu(self.squares(F.pixel_unshuffle(x, STRIDE)))
        x = x + F.silu(self.around(x))
        # Halves of the picture, each on its own.
        mean = x.unflatten(2, (HALVES, -1)).mean((3, 4))
        return torch.tanh(self.code(mean.reshape(b, -1))).float()
