"""Pictures painted from the state: every pixel a blend of what the keyframe says it may be, and of something new.

A convolutional network at half the pictures' size is told what geometry says of each pixel (class and markings of the
ground, agents and where on them, the hypotheses of `keyframe`) and how the world looks, and weighs them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import SemanticClass
from learned_sim_env.world_model.rssm.camera import ground_look, keyframe
from learned_sim_env.world_model.rssm.camera.boxes import FAR, Hits
from learned_sim_env.world_model.rssm.camera.rig import Rig

# Channels of a pixel told of agents: whether there is one, where on it, whether it is static, how near.
AGENT_CHANNELS = 6
# Beside the code, the network is told how far and how much the ego has moved and turned since the keyframe, and of its
# generation.
MOTION_CHANNELS = 4
CHANNELS = ground_look.CHANNELS + AGENT_CHANNELS + keyframe.SOURCES * keyframe.CHANNELS


class Painting(NamedTuple):
    """colours: (B, C, 3, H, W) float32 from 0 to 1. new: the same of what was not taken from the keyframe."""

    colours: Tensor
    new: Tensor


class Painter(nn.Module):
    """See the module's docstring."""

    def __init__(self, rig: Rig, code: int, widths: tuple[int, int] = (48, 96)):
        super().__init__()
        self.rig, self.cameras = rig, len(rig.cameras)
        fine, coarse = widths
        self.inward, self.directed = nn.Conv2d(CHANNELS, fine, 2, 2), nn.Conv2d(3, fine, 1, bias=False)
        self.told_fine, self.told_coarse = (nn.Linear(code + MOTION_CHANNELS, width) for width in widths)
        self.before = nn.Conv2d(fine, fine, 3, padding=1)
        self.shrink = nn.Conv2d(fine, coarse, 3, 2, 1)
        self.around = nn.ModuleList(nn.Conv2d(coarse, coarse, 3, padding=d, dilation=d) for d in (1, 2, 4))
        self.grow = nn.Conv2d(coarse, fine, 1)
        self.after = nn.Conv2d(fine, fine, 3, padding=1)
        self.outward = nn.Conv2d(fine, 4 * (keyframe.SOURCES + 1 + 3), 1)
        for values in (self.outward.weight, self.outward.bias):
            # The four pixels of a square begin alike, or they would form a pattern (arXiv 1707.02937).
            assert values is not None
            values.data = values.data[::4].repeat_interleave(4, 0)
        # How much it counts from the start that a hypothesis' distance fits the keyframe's.
        self.fitting = nn.Parameter(torch.tensor(3.0))

    def forward(
        self, ground: Tensor, hits: Hits, static: Tensor, sources: Tensor, code: Tensor, told: Tensor, turned: Tensor
    ) -> Painting:
        """See `Painting`.

        Args:
            ground: (B, G, channels) see `ground_look`.
            hits: of agents on the rays. static: (B, K) bool, which of them do not move.
            sources: (B, SOURCES, CHANNELS, N), see `keyframe.Hypotheses`.
            code: (B, code) how the world looks. told: (B, MOTION_CHANNELS), see `told`.
            turned: (B,) [rad] of the ego since the moment that the code was read from.
        """
        b, rig = len(code), self.rig
        dtype = self.inward.weight.dtype
        x = sources.new_zeros(b, CHANNELS, len(rig.rays), dtype=dtype)
        x[:, : ground_look.CHANNELS, rig.ground] = ground.transpose(1, 2).to(dtype)
        met = hits.depth < FAR
        kind = static.gather(1, hits.box) & met
        agents = [met[:, None], hits.place.transpose(1, 2), kind[:, None], (4 / hits.depth)[:, None] * met[:, None]]
        x[:, ground_look.CHANNELS :][:, :AGENT_CHANNELS] = torch.cat(agents, 1)
        x[:, -sources.shape[1] * sources.shape[2] :] = sources.detach().flatten(1, 2)
        told = torch.cat([code, told], -1).to(dtype)
        fine, coarse = (
            layer(told).repeat_interleave(self.cameras, 0)[..., None, None]
            for layer in (self.told_fine, self.told_coarse)
        )
        x = self.inward(self._pictures(x)).contiguous(memory_format=torch.channels_last)
        x = F.silu(x + self.directed(self._directions(turned).to(dtype)) + fine)
        x = x + F.silu(self.before(x))
        far = F.silu(self.shrink(x) + coarse)
        for layer in self.around:
            far = far + F.silu(layer(far))
        x = x + F.interpolate(self.grow(far), size=x.shape[-2:])
        x = x + F.silu(self.after(x))
        out = F.pixel_shuffle(self.outward(x).float(), 2)
        return self._blended(out, sources)

    def _blended(self, out: Tensor, sources: Tensor) -> Painting:
        weight, new = out.split([keyframe.SOURCES + 1, 3], 1)
        sources = self._pictures(sources.flatten(1, 2)).unflatten(1, sources.shape[1:3])
        shown, fit = sources[:, :, 3], sources[:, :, 4]
        known = (weight[:, :-1] + self.fitting.float() * fit).masked_fill(shown == 0, -1e4)
        weight = torch.cat([known, weight[:, -1:]], 1).softmax(1)
        new = new.sigmoid()
        colours = (weight[:, :-1, None] * sources[:, :, :3]).sum(1) + weight[:, -1:] * new
        return Painting(*(part.unflatten(0, (-1, self.cameras)) for part in (colours, new)))

    def _pictures(self, x: Tensor) -> Tensor:
        """(B, channels, N) as (B * C, channels, H, W)."""
        x = x.unflatten(2, (self.cameras, -1)).transpose(1, 2).flatten(0, 1)
        return x.unflatten(2, (self.rig.height, self.rig.width))

    def _directions(self, turned: Tensor) -> Tensor:
        """Where pixels look, in the frame of the code: (B * C, 3, H / 2, W / 2)."""
        azimuth = self.rig.azimuth + turned[:, None]
        up = (self.rig.rays[:, 2] / self.rig.level).expand_as(azimuth)
        x = self._pictures(torch.stack([azimuth.cos(), azimuth.sin(), up], 1))
        return F.avg_pool2d(x, 2)


def told(motion: Tensor, generation: Tensor) -> Tensor:
    """(B, MOTION_CHANNELS) of `motion` (B, 3) since a keyframe of a `generation` (B,)."""
    distance = motion[:, :2].norm(dim=-1) / 10
    return torch.stack([distance, (distance + 1e-2).log() / 3, motion[:, 2], torch.log1p(generation) / 2], -1)


def is_static(classes: Tensor) -> Tensor:
    """Which agents, by class, never move: bool."""
    return classes == SemanticClass.STATIC_OBJECT
