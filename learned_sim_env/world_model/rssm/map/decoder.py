"""Static classes of the canvas, from the latent, the route and what is remembered: the part that imagines road."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import NUM_STATIC_CLASSES, BevSpec
from learned_sim_env.world_model.geometry import square_middles
from learned_sim_env.world_model.layers import Linear, Norm, PatchMixer, one_hot, patches, unpatch
from learned_sim_env.world_model.rssm.latent import PATCH
from learned_sim_env.world_model.rssm.map.cross_section import CrossSection, markings_at, read_section, sweep
from learned_sim_env.world_model.rssm.map.memory import MARGIN, UNKNOWN
from learned_sim_env.world_model.rssm.route.path import SIDES, Beside, beside
from learned_sim_env.world_model.traced import played

# How much a pixel counts in training: off-road, road, route, broken line, solid line, static object. Rare classes would
# be learned late or never otherwise.
CLASS_WEIGHTS = (1.0, 1.0, 1.2, 2.0, 2.0, 6.0)
# A class that is proposed by sweeping the road's cross-section counts as so much likelier (a difference of logits).
PROPOSED = 3.0
# Width of what the latent says of a patch.
SAID = 32


class MapDecoder(nn.Module):
    """A few large matrix products over patches: what lies in a patch goes on in its neighbours."""

    def __init__(self, bev: BevSpec, latent: int, channels: int):
        super().__init__()
        self.height, self.width = bev.height + 2 * MARGIN, bev.width + 2 * MARGIN
        self.grid = (self.height // PATCH, self.width // PATCH)
        tokens = self.grid[0] * self.grid[1]
        self.remembered = Linear(PATCH**2 * (UNKNOWN + 1), channels)
        self.imagined = nn.Sequential(Linear(latent, 256, bias=False), Norm(256), nn.SiLU(), Linear(256, tokens * SAID))
        self.join = Linear(SAID, channels)
        self.bev = bev
        self.swept = Linear(PATCH**2 * (UNKNOWN + 1), channels, bias=False)
        nn.init.zeros_(self.swept.weight)
        self.led = nn.Sequential(Linear(SIDES + 5, channels), nn.SiLU(), Linear(channels, channels))
        self.middles: Tensor  # (tokens, 2) of the patches
        self.register_buffer("middles", square_middles(bev, PATCH, MARGIN), persistent=False)
        self.near, self.far = Neighbours(channels), Neighbours(channels)
        self.everywhere = PatchMixer(tokens, channels)
        self.out = Linear(channels, PATCH**2 * NUM_STATIC_CLASSES)
        self.log_weights: Tensor
        self.register_buffer("log_weights", torch.tensor(CLASS_WEIGHTS).log(), persistent=False)

    def forward(self, latent: Tensor, route: Tensor, remembered: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, H, W, NUM_STATIC_CLASSES) of a canvas, and its classes (B, H, W) uint8 if the road simply went on.

        Args:
            latent: (B, latent), h and z.
            route: (B, STATIONS + 1, 3) in the ego frame, see `route.path`.
            remembered: (B, H, W) uint8, UNKNOWN where not known.
        """
        logits, swept, *_ = self.by_patches(latent, route, remembered)
        logits, swept = (unpatch(t, self.height, self.width, PATCH) for t in (logits, swept))
        return logits, swept[..., 0]

    def fill(self, latent: Tensor, route: Tensor, remembered: Tensor) -> tuple[Tensor, Roadway]:
        """The canvas `remembered` (B, H, W) uint8 with classes chosen where it was UNKNOWN, and the road that goes on
        in it; arguments as `forward`.
        """
        given = (latent, route, remembered)
        by_patches = self.by_patches if self.training else played(self, "by_patches", given)
        logits, swept, section, near = by_patches(*given)
        ids = patches(remembered, PATCH)
        blank = (ids == UNKNOWN).flatten().nonzero()[:, 0]
        ids.view(-1)[blank] = self.choose(logits.view(-1, NUM_STATIC_CLASSES)[blank], swept.flatten()[blank])
        canvas, swept = (unpatch(t, self.height, self.width, PATCH)[..., 0] for t in (ids, swept))
        road = Roadway(CrossSection(*section), Beside(*near), self.middles, canvas == swept, self.bev)
        return canvas, road

    def choose(self, logits: Tensor, swept: Tensor) -> Tensor:
        """Classes (...) uint8 from logits (..., NUM_STATIC_CLASSES) and proposed ones (...) uint8, UNKNOWN for none."""
        # Pixel by pixel, a marking that may lie one pixel aside is never the likeliest: what fits together goes first.
        proposed = one_hot(swept, UNKNOWN + 1, logits.dtype)[..., :NUM_STATIC_CLASSES]
        return (logits - self.log_weights.to(logits.dtype) + PROPOSED * proposed).argmax(-1).to(torch.uint8)

    def by_patches(
        self, latent: Tensor, route: Tensor, remembered: Tensor
    ) -> tuple[Tensor, Tensor, CrossSection, Beside]:
        """Logits and classes as `forward` gives them, but by patches: (B, tokens, PATCH**2 * NUM_STATIC_CLASSES) and
        (B, tokens, PATCH**2); the section of the road that goes on, and where the patches' middles are beside it.
        """
        dtype = self.out.weight.dtype
        said = self.imagined(latent.to(dtype)).unflatten(-1, (-1, SAID))
        seen = self.remembered(one_hot(patches(remembered, PATCH), UNKNOWN + 1, dtype).flatten(2))
        near = beside(route, self.middles.expand(len(route), -1, -1))
        section = read_section(remembered, route, self.bev)
        swept = sweep(section, near, self.bev, PATCH)
        led = self.led(near.features().to(dtype)) + self.swept(one_hot(swept, UNKNOWN + 1, dtype).flatten(2))
        x = self.near(seen + led + self.join(F.silu(said)), self.grid)
        return self.out(self.far(self.everywhere(x), self.grid)), swept, section, near


class Roadway(NamedTuple):
    """Road in B canvases that goes on with its cross-section: `section`, and where the patches' `middles` (tokens, 2)
    are `beside` it. followed: (B, H, W) bool, where it does.
    """

    section: CrossSection
    beside: Beside
    middles: Tensor
    followed: Tensor
    bev: BevSpec

    def at(self, rows: Tensor, points: Tensor, turned: Tensor) -> Tensor:
        """What it shows in the cells around ego-frame `points` (N, 2) [m] of canvases `rows` (N,): (N,) int16, UNKNOWN
        where it is not followed.

        turned: (N,) [rad] by which the ego frames are turned in the grid whose points these are.
        """
        height, width = self.followed.shape[1:]
        row, column = (x.round().long() + MARGIN for x in self.bev.pixels(points))
        # Cells that a pixel at the border touches lie up to one beyond it.
        inside = (row >= -1) & (row <= height) & (column >= -1) & (column <= width)
        row, column = row.clamp(0, height - 1), column.clamp(0, width - 1)
        # Hardly more than a third of them, so that all that follows is done for those alone.
        some = (inside & self.followed[rows, row, column]).nonzero()[:, 0]
        token = row[some] // PATCH * (width // PATCH) + column[some] // PATCH
        x, y = (points[some] - self.middles[token]).unbind(-1)
        arc, across, heading, which = (v[rows[some], token] for v in self.beside)
        c, s = heading.cos(), heading.sin()
        here = Beside(arc + c * x + s * y, across + c * y - s * x, heading, which)
        found = markings_at(self.section, rows[some], here, heading + turned[some], self.bev)
        return torch.full_like(rows, UNKNOWN, dtype=found.dtype).scatter_(0, some, found)


class Neighbours(nn.Module):
    """Tokens on a grid take in those around them: a residual 3 x 3 convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = Norm(channels)
        self.around = nn.Conv2d(channels, channels, 3, padding=1)
        self.mix = Linear(channels, channels)

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, tokens, channels) to the same shape."""
        image = self.norm(x).unflatten(1, grid).permute(0, 3, 1, 2)
        return x + self.mix(F.silu(self.around(image).permute(0, 2, 3, 1).flatten(1, 2)))
