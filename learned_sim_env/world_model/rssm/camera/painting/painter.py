"""Pictures painted from the state: things in front of what is behind them, each pixel from the keyframe or anew.

What is behind (ground, sky, what stands far away) is weighed by a convolutional network at half the pictures' size,
which is told what geometry says of each pixel and how the world looks. Things are laid over it, the nearest last.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.world_model.geometry import upright
from learned_sim_env.world_model.rssm.camera.painting import ground_look, keyframe
from learned_sim_env.world_model.rssm.camera.painting.casting import AGENT, FAR, FIRST, LAYERS, Hits
from learned_sim_env.world_model.rssm.camera.painting.keyframe import SOURCES, Looked
from learned_sim_env.world_model.rssm.camera.painting.rig import Rig
from learned_sim_env.world_model.rssm.camera.painting.shader import Shader, Shades
from learned_sim_env.world_model.rssm.camera.painting.things import Things

# Beside the code, the networks are told how far and how much the ego has moved and turned since the keyframe, and of
# its generation.
MOTION_CHANNELS = 4
# A pixel is told of the things in it: their colour, how much they hide, and how near they are.
THING_CHANNELS = 5
CHANNELS = ground_look.CHANNELS + SOURCES * keyframe.CHANNELS + THING_CHANNELS
# Of a pixel it is said how much each source counts, and something new; its colour; and how solid each layer is.
SAID = SOURCES + 1 + 3 + LAYERS
# A logit at which nothing is hidden.
NOTHING = -20.0


class Painting(NamedTuple):
    """colours: (B, C, 3, H, W) float32 from 0 to 1. new: the same, with nothing taken from the keyframe, if that was
    asked for.
    """

    colours: Tensor
    new: Tensor | None


class Painter(nn.Module):
    """See the module's docstring."""

    def __init__(self, code: int, widths: tuple[int, int] = (48, 96)):
        super().__init__()
        fine, coarse = widths
        self.shader = Shader(code + MOTION_CHANNELS)
        self.inward, self.directed = nn.Conv2d(CHANNELS, fine, 2, 2), nn.Linear(3, fine, bias=False)
        self.told_fine, self.told_coarse = (nn.Linear(code + MOTION_CHANNELS, width) for width in widths)
        self.before = nn.Conv2d(fine, fine, 3, padding=1)
        self.shrink = nn.Conv2d(fine, coarse, 3, 2, 1)
        self.around = nn.ModuleList(nn.Conv2d(coarse, coarse, 3, padding=d, dilation=d) for d in (1, 2, 4))
        self.grow = nn.Conv2d(coarse, fine, 1)
        self.after = nn.Conv2d(fine, fine, 3, padding=1)
        self.outward = nn.Conv2d(fine, 4 * SAID, 1)
        for values in (self.outward.weight, self.outward.bias):
            # The four pixels of a square begin alike, or they would form a pattern (arXiv 1707.02937).
            assert values is not None
            values.data = values.data[::4].repeat_interleave(4, 0)
        # How much it counts from the start that a hypothesis' distance fits the keyframe's.
        self.fitting = nn.Parameter(torch.tensor(3.0))

    def forward(
        self,
        rig: Rig,
        ground: Tensor,
        hits: Hits,
        things: Things,
        found: Looked,
        code: Tensor,
        told: Tensor,
        turned: Tensor,
        anew: bool = False,
    ) -> Painting:
        """See `Painting`.

        Args:
            rig: the cameras whose pictures are painted.
            ground: (B, channels, G) see `ground_look`.
            hits: of things on the rays; the things themselves; and what the keyframe says of both, see `Hypotheses`.
            code: (B, code) how the world looks. told: (B, MOTION_CHANNELS), see `told`.
            turned: (B,) [rad] of the ego since the moment that the code was read from.
            anew: whether to paint all of it anew as well.
        """
        said = torch.cat([code, told], -1)
        shades = self.shader(hits, things, found.things, said, turned)
        layers = _Layers.of(hits, shades, found.things, anew)
        x = _told(rig, ground, found.behind, layers.draft().detach(), self.inward.weight.dtype)
        out = self._network(rig, x, said, turned)
        weight, new, solid = out.split([SOURCES + 1, 3, LAYERS], 1)
        behind, fit = found.behind, found.behind[:, :, 4]
        known = (weight[:, :-1] + self.fitting.float() * fit).masked_fill(behind[:, :, 3] == 0, -1e4)
        weight = torch.cat([known, weight[:, -1:]], 1).softmax(1)
        new = new.sigmoid()
        colours = (weight[:, :-1, None] * behind[:, :, :3]).sum(1) + weight[:, -1:] * new
        share, free = layers.shares(solid)
        painted = (share[:, :, None] * layers.colours).sum(1) + free * colours
        if layers.new is None:
            return Painting(_pictures(rig, painted).unflatten(0, (len(code), -1)), None)
        fresh = (share[:, :, None] * layers.new).sum(1) + free * new
        return Painting(*(_pictures(rig, part).unflatten(0, (len(code), -1)) for part in (painted, fresh)))

    def _network(self, rig: Rig, x: Tensor, said: Tensor, turned: Tensor) -> Tensor:
        """Pixels as they are told of, see `_told`, to what is said of them (B, SAID, N) float32."""
        dtype, cameras = self.inward.weight.dtype, len(rig.cameras)
        x, said = x.flatten(0, 1).unflatten(2, (rig.height, rig.width)), said.to(dtype)
        coarse = self.told_coarse(said).repeat_interleave(cameras, 0)[..., None, None]
        x = self.inward(x).contiguous(memory_format=torch.channels_last)
        x = F.silu(x + self._directed(rig, turned, self.told_fine(said)))
        x = x + F.silu(self.before(x))
        far = F.silu(self.shrink(x) + coarse)
        for layer in self.around:
            far = far + F.silu(layer(far))
        x = x + F.interpolate(self.grow(far), size=x.shape[-2:])
        x = x + F.silu(self.after(x))
        out = F.pixel_shuffle(self.outward(x).float(), 2)
        # What follows takes pixels that lie one after the other.
        return out.unflatten(0, (-1, cameras)).transpose(1, 2).flatten(2).contiguous()

    def _directed(self, rig: Rig, turned: Tensor, said: Tensor) -> Tensor:
        """What pixels are told of where they look, in the frame of the code, and what was `said` (B, fine) to all:
        (B * C, fine, H / 2, W / 2), channels last in memory.
        """
        weight = upright(-turned) @ self.directed.weight.float().T
        told = rig.towards @ weight + said.float()[:, None]
        shape = (rig.height // 2, rig.width // 2, said.shape[1])
        return told.to(said.dtype).view(-1, *shape).permute(0, 3, 1, 2)


def _told(rig: Rig, ground: Tensor, behind: Tensor, draft: Tensor, dtype: torch.dtype) -> Tensor:
    """What the network is told of pixels, (B, C, CHANNELS, H * W): of the ground, of what is behind things, and of
    these.
    """
    cameras = len(rig.cameras)
    x = behind.new_zeros(len(behind), cameras, CHANNELS, rig.height * rig.width, dtype=dtype)
    told = x.transpose(1, 2)
    rig.ground_band.spread(ground, told[:, : ground_look.CHANNELS])
    told[:, ground_look.CHANNELS : -THING_CHANNELS] = behind.flatten(1, 2).unflatten(2, (cameras, -1))
    told[:, -THING_CHANNELS:] = draft.unflatten(2, (cameras, -1))
    return x


def _pictures(rig: Rig, x: Tensor) -> Tensor:
    """(B, channels, N) as (B * C, channels, H, W)."""
    x = x.unflatten(2, (len(rig.cameras), -1)).transpose(1, 2).flatten(0, 1)
    return x.unflatten(2, (rig.height, rig.width))


class _Layers(NamedTuple):
    """Layers of things, see `Hits`: depth (B, LAYERS, N); solid (B, LAYERS, N) logits; colours (B, LAYERS, 3, N), and
    new, the same with nothing taken from the keyframe, or None.
    """

    depth: Tensor
    solid: Tensor
    colours: Tensor
    new: Tensor | None

    @staticmethod
    def of(hits: Hits, shades: Shades, found: Tensor, anew: bool) -> _Layers:
        """Layers of what hits show, see `Shader` and `Looked`."""
        colours = torch.lerp(shades.colours, found[:, :3], shades.kept.sigmoid()[:, None])
        values = [shades.solid[:, None] - NOTHING, colours, *([shades.colours] if anew else [])]
        some = torch.cat(values, -1).T
        dense = some.new_zeros(len(some), hits.depth.numel()).index_copy(1, hits.flat, some)
        dense = dense.unflatten(1, hits.depth.shape).movedim(0, 2)
        new = dense[:, :, 4:] if anew else None
        return _Layers(hits.depth, dense[:, :, 0] + NOTHING, dense[:, :, 1:4], new)

    def shares(self, more: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """How much of each pixel each layer fills (B, LAYERS, N), with `more` (B, LAYERS, N) added to how solid they
        are; and how much none of them does (B, 1, N).
        """
        solid = self.solid if more is None else self.solid + more
        solid = solid.sigmoid() * (self.depth < FAR)
        free = 1 - solid
        agent, first, second = free.unbind(1)
        scenery = first * second
        # Where the agent is behind the first thing, and behind both.
        behind = self.depth[:, AGENT, None] > self.depth[:, FIRST:]
        before = torch.where(behind[:, 0], torch.where(behind[:, 1], scenery, first), 1)
        shown = torch.where(behind, 1, agent[:, None])
        seen = torch.stack([before, shown[:, 0], shown[:, 1] * first], 1)
        return solid * seen, (agent * scenery)[:, None]

    def draft(self) -> Tensor:
        """What a network is told of them: (B, THING_CHANNELS, N)."""
        share, free = self.shares()
        near = (share * (4 / self.depth)).sum(1, keepdim=True)
        return torch.cat([(share[:, :, None] * self.colours).sum(1), 1 - free, near], 1)


def told(motion: Tensor, generation: Tensor) -> Tensor:
    """(B, MOTION_CHANNELS) of `motion` (B, 3) since a keyframe of a `generation` (B,)."""
    distance = motion[:, :2].norm(dim=-1) / 10
    return torch.stack([distance, (distance + 1e-2).log() / 3, motion[:, 2], torch.log1p(generation) / 2], -1)
