"""The bird's-eye view that cameras show: their features looked up on the ground, and a network that completes them.

Places of the view are projected into the pictures by calibration (inverse perspective mapping, at a few heights); how
far away the agents are that pixels show is estimated in the pictures, where they are whole, and handed to the places
where they stand (as Lift, Splat, Shoot, arXiv 2008.05711, does for everything). Where no camera looks, the network says
what is likely, and that it was not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import EGO_SIZE, BevSpec, CameraSpec, SemanticClass
from learned_sim_env.world_model.geometry import view_points
from learned_sim_env.world_model.rssm.camera.perception.look_ups import LookUps
from learned_sim_env.world_model.rssm.camera.perception.scenery_finder import Found, SceneryFinder

# What the network tells apart: everything but the ego, whose place is known.
SEEN_CLASSES = int(SemanticClass.EGO)
STATIC = int(SemanticClass.STATIC_OBJECT)
# How much a pixel counts in training, by class: what is rare would be learned late or never otherwise.
CLASS_WEIGHTS = (1.0, 1.0, 1.2, 2.0, 2.0, 6.0, 4.0, 6.0)
# As much of a weight's logarithm is taken off a logit again where a class is chosen.
TAKEN_OFF = 0.6
# [m] Heights above the ground at which places are looked up.
HEIGHTS = (0.0, 0.6, 1.3)
# Pictures are looked at in squares of this many pixels a side.
STRIDE = 2
# Channels of what is looked up, and of the view at its full size, half and a quarter.
LOOKED_UP, WIDTHS = 32, (64, 96, 128)
# What pixels show of agents: nothing, a mover, something static.
KINDS = 3
# Depths are told as log(depth / DEPTH) [m].
DEPTH = 12.0
# Obstacles found in pictures that are put into the view.
OBSTACLES = 16
# [m] How fast closeness to the route fades away from it.
ROUTE_REACHES = (2.0, 8.0)


class Percept(NamedTuple):
    """What is seen in B moments.

    logits: (B, SEEN_CLASSES, H, W) float32 of the view. kinds: (B, C, KINDS, h, w) float32, logits of what the pictures
    show of agents, and depths: (B, C, h, w) float32 how far away those are, see `DEPTH`. things: (B, C, channels, h, w)
    float32, what they show of scenery and obstacles, see `SceneryFinder`. obstacles: (B, H, W) bool, where some are.
    """

    logits: Tensor
    kinds: Tensor
    depths: Tensor
    things: Tensor
    obstacles: Tensor

    def view(self) -> Tensor:
        """The likeliest classes (B, H, W) uint8, the ego left out."""
        weights = self.logits.new_tensor(CLASS_WEIGHTS).log()[:, None, None]
        view = (self.logits - TAKEN_OFF * weights).argmax(1)
        # An obstacle is smaller than a pixel, of which many would each be a little likely to hold it.
        return view.masked_fill(self.obstacles & (view < SemanticClass.VEHICLE), STATIC).to(torch.uint8)


class Perception(nn.Module):
    """Pictures and waypoints of the route to a `Percept`; see the module's docstring."""

    def __init__(self, cameras: Sequence[CameraSpec], bev: BevSpec, width: int = 48):
        super().__init__()
        self.bev, self.width = bev, width
        ground = bev.pixel_centres().reshape(-1, 2).astype(np.float64)
        points = np.concatenate([np.column_stack([ground, np.full(len(ground), z)]) for z in HEIGHTS])
        self.look_ups = LookUps(cameras, points, STRIDE)
        self.ego: Tensor  # (H, W) bool: where the ego itself is
        at = np.abs(bev.pixel_centres())
        ego = (at[..., 0] <= EGO_SIZE[0] / 2) & (at[..., 1] <= EGO_SIZE[1] / 2)
        self.register_buffer("ego", torch.from_numpy(ego), persistent=False)
        size = (cameras[0].height // STRIDE, cameras[0].width // STRIDE)
        self.seen: Tensor  # (H, W) bool: whether a camera shows the ground there, or something on it
        seen = self.look_ups.seen.view(len(HEIGHTS), bev.height, bev.width).any(0)
        self.register_buffer("seen", seen, persistent=False)
        self.pixel_places: Tensor
        grid = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in size), indexing="ij")
        self.register_buffer("pixel_places", torch.stack(grid)[None], persistent=False)
        self.points: Tensor
        self.register_buffer("points", view_points(bev), persistent=False)
        x, y = self.points.unbind(-1)
        away = self.points.norm(dim=-1)
        places = torch.stack([x / 40, y / 25, away / 40, torch.atan2(y, x) / torch.pi])
        places = torch.cat([places, self.look_ups.seen.view(len(HEIGHTS), -1)]).unflatten(1, (bev.height, bev.width))
        self.places: Tensor
        self.register_buffer("places", places[None], persistent=False)

        self.pixels = _conv(3 * STRIDE**2 + 2, width)
        self.picture = nn.ModuleList(_conv(width, width) for _ in range(2))
        self.shrink = nn.Conv2d(width, 64, 3, 2, 1)
        self.around = nn.ModuleList(nn.Conv2d(64, 64, 3, padding=d, dilation=d) for d in (1, 2, 1))
        self.grow = nn.Conv2d(64, width, 1)
        self.surface = nn.Conv2d(width, KINDS + 1, 1)
        self.look = nn.Conv2d(width, LOOKED_UP, 1)
        self.finder = SceneryFinder(cameras, STRIDE, width)

        full, half, quarter = WIDTHS
        self.ground = nn.Conv2d(len(HEIGHTS) * (LOOKED_UP + 4) + places.shape[0] + len(ROUTE_REACHES), full, 1)
        self.at_full = nn.ModuleList(_conv(full, full) for _ in range(2))
        self.to_half, self.to_quarter = nn.Conv2d(full, half, 3, 2, 1), nn.Conv2d(half, quarter, 3, 2, 1)
        self.at_half = nn.ModuleList(_conv(half, half) for _ in range(2))
        self.at_quarter = nn.ModuleList(nn.Conv2d(quarter, quarter, 3, padding=d, dilation=d) for d in (1, 2))
        self.to_eighth = nn.Conv2d(quarter, quarter, 3, 2, 1)
        self.at_eighth = nn.ModuleList(_conv(quarter, quarter) for _ in range(2))
        self.from_eighth, self.again = nn.Conv2d(quarter, quarter, 1), _conv(quarter, quarter)
        self.from_quarter, self.from_half = nn.Conv2d(quarter, half, 1), nn.Conv2d(half, full, 1)
        self.out = nn.Conv2d(full, SEEN_CLASSES, 1)

    def forward(self, pictures: Tensor, route: Tensor) -> Percept:
        """See `Percept`.

        Args:
            pictures: (B, C, H, W, 3) uint8.
            route: (B, N, 2) waypoints in the ego frame [m].
        """
        b, cameras = pictures.shape[:2]
        x = self._picture(pictures.flatten(0, 1))
        surface, things = self.surface(x).float(), self.finder(x)
        kinds, depths = surface[:, :KINDS], surface[:, KINDS]
        found = self._looked_up(torch.cat([self.look(x), _told(kinds, depths).to(x.dtype)], 1), cameras)
        y = torch.cat([found, self.places.expand(b, -1, -1, -1).to(x.dtype), self._near_route(route).to(x.dtype)], 1)
        logits = self._ground(y).float()
        kinds, depths, things = (v.unflatten(0, (b, cameras)) for v in (kinds, depths, things))
        return Percept(logits, kinds, depths, things, self._obstacles(things.detach()))

    def scenery(self, percept: Percept, slots: int) -> Found:
        """The `slots` things beside the road that look largest, in the ego frame."""
        return self.finder.scenery(percept.things, slots)

    def merged(self, old: Found, new: Found) -> Found:
        """See `SceneryFinder.merged`."""
        return self.finder.merged(old, new)

    def _obstacles(self, things: Tensor) -> Tensor:
        """(B, H, W) bool: pixels at which an obstacle is found."""
        found = self.finder.obstacles(things, OBSTACLES)
        row, column = (v.round().long() for v in self.bev.pixels(found.pose))
        inside = (row >= 0) & (row < self.bev.height) & (column >= 0) & (column < self.bev.width) & (found.kind > 0)
        at = torch.where(inside, row * self.bev.width + column, self.bev.height * self.bev.width)
        there = torch.zeros(len(at), self.bev.height * self.bev.width + 1, dtype=torch.bool, device=at.device)
        return there.scatter_(1, at, True)[:, :-1].unflatten(1, (self.bev.height, self.bev.width))

    def _picture(self, pictures: Tensor) -> Tensor:
        """(B * C, H, W, 3) uint8 to features (B * C, width, H / STRIDE, W / STRIDE)."""
        x = pictures.permute(0, 3, 1, 2).to(self.pixels.weight.dtype) / 127.5 - 1
        x = F.pixel_unshuffle(x, STRIDE)
        places = self.pixel_places.to(x.dtype).expand(len(x), -1, -1, -1)
        x = torch.cat([x, places], 1).contiguous(memory_format=torch.channels_last)
        x = F.silu(self.pixels(x))
        for layer in self.picture:
            x = x + F.silu(layer(x))
        far = F.silu(self.shrink(x))
        for layer in self.around:
            far = far + F.silu(layer(far))
        return x + F.interpolate(self.grow(far), size=x.shape[-2:])

    def _looked_up(self, features: Tensor, cameras: int) -> Tensor:
        """Features of the places of the view (B, channels, H, W), from those of pictures (B * C, LOOKED_UP + 3, h, w).

        The last three of these, movers and static things and log depth times both, become how likely something stands
        at the place itself and whether it is nearer or farther.
        """
        found = self.look_ups(features.unflatten(0, (-1, cameras)))
        there = found[..., LOOKED_UP:].float()
        probability = there[..., :2].sum(-1, keepdim=True)
        beyond = there[..., 2:] / probability.clamp_min(1e-2) - (self.look_ups.depth / DEPTH).log()[:, None, None]
        lifted = [there[..., :2], probability * (-((beyond / 0.15) ** 2)).exp(), probability * (beyond * 4).tanh()]
        found = torch.cat([found[..., :LOOKED_UP], *(v.to(found.dtype) for v in lifted)], -1)
        found = found.view(len(HEIGHTS), self.bev.height, self.bev.width, *found.shape[1:])
        # (B, heights * channels, H, W), channels last in memory.
        found = found.permute(3, 1, 2, 0, 4).flatten(3)
        return found.permute(0, 3, 1, 2)

    def _near_route(self, route: Tensor) -> Tensor:
        """How near to the route, from the ego through its waypoints (B, N, 2), places are: (B, 2, H, W)."""
        end = route.float()
        start = torch.cat([torch.zeros_like(end[:, :1]), end[:, :-1]], 1)
        along = end - start
        away = self.points[:, None] - start[:, None]
        share = (away * along[:, None]).sum(-1) / (along * along).sum(-1)[:, None].clamp_min(1e-3)
        distance = (away - share.clamp(0, 1)[..., None] * along[:, None]).norm(dim=-1).amin(-1)
        near = torch.stack([(-distance / reach).exp() for reach in ROUTE_REACHES], 1)
        return near.unflatten(2, (self.bev.height, self.bev.width))

    def _ground(self, x: Tensor) -> Tensor:
        x = F.silu(self.ground(x.contiguous(memory_format=torch.channels_last)))
        x = x + F.silu(self.at_full[0](x))
        half = F.silu(self.to_half(x))
        half = half + F.silu(self.at_half[0](half))
        quarter = F.silu(self.to_quarter(half))
        for layer in self.at_quarter:
            quarter = quarter + F.silu(layer(quarter))
        eighth = F.silu(self.to_eighth(quarter))
        for layer in self.at_eighth:
            eighth = eighth + F.silu(layer(eighth))
        quarter = quarter + F.interpolate(self.from_eighth(eighth), size=quarter.shape[-2:])
        quarter = quarter + F.silu(self.again(quarter))
        half = half + F.interpolate(self.from_quarter(quarter), size=half.shape[-2:])
        half = half + F.silu(self.at_half[1](half))
        x = x + F.interpolate(self.from_half(half), size=x.shape[-2:])
        return self.out(x + F.silu(self.at_full[1](x)))


def _told(kinds: Tensor, depths: Tensor) -> Tensor:
    """What places are told of agents in the pictures: (B, 3, h, w). What they make of it trains neither."""
    likely = kinds.detach().softmax(1)[:, 1:]
    return torch.cat([likely, likely.sum(1, keepdim=True) * depths.detach()[:, None]], 1)


def _conv(channels: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, padding=1)
