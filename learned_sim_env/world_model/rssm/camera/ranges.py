"""How far away what a picture shows is, guessed from the picture alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.world_model.rssm.camera.rig import Rig

# [m] What is farther than this is as good as infinitely far; and what is guessed at first of what is not ground.
FARTHEST, MIDDLE = 60.0, 25.0


class Ranges(nn.Module):
    """Pictures to distances over the ground. Nobody tells them: they are right where they explain later pictures.

    What stands on the ground is as far away as the ground where it begins, so that the network looks down from a pixel.
    """

    def __init__(self, rig: Rig, width: int = 32):
        super().__init__()
        self.rig, self.cameras = rig, len(rig.cameras)
        guess = torch.full_like(rig.level, MIDDLE)
        guess[rig.ground] = rig.ground_depth * rig.level[rig.ground]
        self.guess: Tensor
        guess = log_range(guess).view(self.cameras, 1, rig.height, rig.width)
        self.register_buffer("guess", guess, persistent=False)
        self.squares = nn.Conv2d(3 * 4 + 4, width, 3, padding=1)
        self.shrink = nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.around = nn.ModuleList(nn.Conv2d(2 * width, 2 * width, 3, padding=d, dilation=d) for d in (1, 2))
        self.grow = nn.Conv2d(2 * width, width, 1)
        self.after = nn.Conv2d(width, width, 3, padding=1)
        self.out = nn.Conv2d(width, 4, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, C, H, W, 3) uint8 to logarithms of ranges (B, C, H, W) float32, see `log_range`."""
        b = len(pictures)
        x = pictures.flatten(0, 1).permute(0, 3, 1, 2).to(self.out.weight.dtype) / 127.5 - 1
        guess = self.guess.repeat(b, 1, 1, 1)
        x = F.pixel_unshuffle(torch.cat([x, (guess - 3).to(x.dtype)], 1), 2)
        x = F.silu(self.squares(x.contiguous(memory_format=torch.channels_last)))
        far = F.silu(self.shrink(x))
        for layer in self.around:
            far = far + F.silu(layer(far))
        x = x + F.interpolate(self.grow(far), size=x.shape[-2:])
        x = x + F.silu(self.after(x))
        more = F.pixel_shuffle(self.out(x).float(), 2)
        return (guess + more)[:, 0].unflatten(0, (b, self.cameras))


def as_bytes(ranges: Tensor) -> Tensor:
    """Logarithms of ranges as they are kept: uint8."""
    return (ranges / math.log(FARTHEST) * 255).round().clamp(0, 255).to(torch.uint8)


def from_bytes(kept: Tensor) -> Tensor:
    """What was kept `as_bytes`, nearly: float32."""
    return kept.float() * (math.log(FARTHEST) / 255)


def log_range(distance: Tensor) -> Tensor:
    """Logarithms of distances [m], all of those beyond `FARTHEST` the same."""
    return distance.clamp(1.0, FARTHEST).log()
