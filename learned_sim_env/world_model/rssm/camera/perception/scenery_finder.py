"""Things with a place, a size and a kind that pictures show: what stands beside the road, and obstacles on it.

Each is a point in the picture, the middle of what is seen of it, from which the rest is regressed (CenterNet, "Objects
as Points", arXiv 1904.07850), or its foot where it is thin. Points of all cameras become places around the ego, where
what two show is one thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import CameraSpec, SceneryKind
from learned_sim_env.world_model.geometry import wrap

# Kinds are numbered as `SceneryKind`, from 1 on; what stands and what moves on the road comes after them. Movers are
# learned for the sake of the features that the view is seen by, and to be told from obstacles; nothing asks for them.
OBSTACLE = len(SceneryKind)
MOVER = OBSTACLE + 1
KINDS = MOVER
# [m] What sizes are told as shares of, by kind: length, width, height.
COMMON_SIZES = (
    (1.0, 1.0, 1.0),
    (5.7, 5.7, 8.2),
    (4.0, 4.0, 10.5),
    (2.2, 2.2, 1.5),
    (11.5, 8.5, 7.0),
    (18.0, 12.0, 17.0),
    (0.18, 0.18, 7.5),
    (0.12, 0.12, 1.0),
    (0.4, 0.4, 0.75),
    (4.6, 1.9, 1.5),
)
# Kinds that are as long as they are wide, as far as anybody can see.
ROUND = (SceneryKind.TREE, SceneryKind.CONIFER, SceneryKind.BUSH, SceneryKind.LAMP, SceneryKind.POST)
# Kinds that look the same from behind.
BUILDINGS = (SceneryKind.HOUSE, SceneryKind.BLOCK)
# Kinds that may be taken for each other have the same number here.
ALIKE = (0, 1, 1, 1, 2, 2, 3, 4, 5, 6)
# Outputs of a square of the picture beside the kinds: the bearing from its own in squares, log(range / RANGE), the
# logarithms of length, width and height as shares of `COMMON_SIZES`, cos and sin of the heading from the bearing, and
# of twice that.
RANGE = 20.0  # [m]
REGRESSED = 9
# Least scores of what is found, and of what is kept that is in sight but not found again.
THRESHOLD, KEPT = 0.3, 0.15
# Points looked at for each thing that is asked for.
CANDIDATES = 3
# Squares a side of what the surroundings of a square are seen in.
COARSE = 4


class Found(NamedTuple):
    """S things in each of B moments, those that look largest first; empty slots are last, and have kind 0.

    pose: (B, S, 3) float32 x, y [m], heading [rad] in the ego frame. size: (B, S, 3) float32 length, width, height [m].
    kind: (B, S) uint8, `SceneryKind`, `OBSTACLE` or `MOVER`. score: (B, S) float32 from 0 to 1.
    """

    pose: Tensor
    size: Tensor
    kind: Tensor
    score: Tensor


class SceneryFinder(nn.Module):
    """Features of pictures (B * C, width, h, w), `stride` pixels a square, to outputs, and those to `Found`."""

    def __init__(self, cameras: Sequence[CameraSpec], stride: int, width: int, coarse: int = 96):
        super().__init__()
        height, across = cameras[0].height // stride, cameras[0].width // stride
        rows, columns = (np.mgrid[0:height, 0:across] + 0.5) * stride
        rays = np.stack([camera.rays(rows, columns) for camera in cameras])
        self.bearing: Tensor  # (C, h, w) [rad], of the middles of squares
        bearing = np.arctan2(rays[..., 1], rays[..., 0]).astype(np.float32)
        self.register_buffer("bearing", torch.from_numpy(bearing), persistent=False)
        self.origin: Tensor  # (C, 2) [m] of the optical centres
        origin = np.array([camera.position[:2] for camera in cameras], np.float32)
        self.register_buffer("origin", torch.from_numpy(origin), persistent=False)
        self.sectors: Tensor  # (C, 2) [rad]: the middle of what a camera shows, and half of how wide that is
        sectors = np.radians([(camera.yaw, camera.fov / 2) for camera in cameras]).astype(np.float32)
        self.register_buffer("sectors", torch.from_numpy(sectors), persistent=False)
        self.square = stride / cameras[0].focal_length  # [rad] that a square covers where the axis is
        self.common_sizes: Tensor
        self.register_buffer("common_sizes", torch.tensor(COMMON_SIZES), persistent=False)

        self.shrink = nn.Conv2d(width, coarse, 3, 2, 1)
        self.around = nn.ModuleList(nn.Conv2d(coarse, coarse, 3, padding=1) for _ in range(2))
        self.grow = nn.Conv2d(coarse, width, 1)
        self.near = nn.Conv2d(width, width, 3, padding=1)
        self.out = nn.Conv2d(width, KINDS + REGRESSED, 1)
        assert self.out.bias is not None
        nn.init.constant_(self.out.bias[:KINDS], -4.0)

    def forward(self, x: Tensor) -> Tensor:
        """(B * C, KINDS + REGRESSED, h, w) float32: logits of kinds 1 to `MOVER`, then what is regressed."""
        far = F.silu(self.shrink(F.avg_pool2d(x, COARSE // 2)))
        for layer in self.around:
            far = far + F.silu(layer(far))
        x = x + F.interpolate(self.grow(far), size=x.shape[-2:])
        return self.out(x + F.silu(self.near(x))).float()

    def scenery(self, outputs: Tensor, slots: int) -> Found:
        """What stands beside the road, from outputs (B, C, KINDS + REGRESSED, h, w)."""
        return self._found(outputs, 1, OBSTACLE, slots)

    def obstacles(self, outputs: Tensor, slots: int) -> Found:
        """What stands on the road, from outputs (B, C, KINDS + REGRESSED, h, w)."""
        return self._found(outputs, OBSTACLE, OBSTACLE + 1, slots)

    def in_sight(self, pose: Tensor) -> Tensor:
        """Whether a camera shows the middles of things with `pose` (B, S, 3) in the ego frame: (B, S) bool."""
        seen = torch.zeros_like(pose[..., 0], dtype=torch.bool)
        for origin, (middle, half) in zip(self.origin, self.sectors, strict=True):
            x, y = (pose[..., :2] - origin).unbind(-1)
            seen |= wrap(torch.atan2(y, x) - middle).abs() < half
        return seen

    def merged(self, old: Found, new: Found) -> Found:
        """What is known after a further look, all in the present ego frame.

        Of a thing that is found again, old and new are averaged. One that isn't is kept where no camera looks, and is
        believed half as much where one does.
        """
        match = torch.where(_alike(old.kind, new.kind), _apart(old, new), torch.inf)
        nearest, which = match.min(1)  # of the old, for each new one
        again = nearest < 1
        before = Found(*(_picked(value, which) for value in old))
        turned = wrap(before.pose[..., 2] - new.pose[..., 2])
        turned = torch.where(_one_of(new.kind, BUILDINGS), wrap(2 * turned) / 2, turned)
        place, heading = (before.pose + new.pose)[..., :2] / 2, wrap(new.pose[..., 2] + turned / 2)
        same, surer = again & (before.kind == new.kind), again & (before.score > new.score)
        # What was taken for something else had the size of that.
        size = torch.where(surer[..., None], before.size, new.size)
        met = Found(
            torch.where(again[..., None], torch.cat([place, heading[..., None]], -1), new.pose),
            torch.where(same[..., None], (before.size + new.size) / 2, size),
            torch.where(surer, before.kind, new.kind),
            torch.where(surer, before.score, new.score),
        )
        taken = (match < 1).any(2)
        score = torch.where(self.in_sight(old.pose), 0.5 * old.score, old.score)
        left = old._replace(kind=torch.where(~taken & (score > KEPT), old.kind, 0), score=score)
        return _largest(Found(*(torch.cat(pair, 1) for pair in zip(met, left, strict=True))), new.kind.shape[1])

    def _found(self, outputs: Tensor, first: int, end: int, slots: int) -> Found:
        """Things of kinds from `first` to before `end`."""
        b, cameras, _, height, width = outputs.shape
        heat = outputs[:, :, first - 1 : end - 1].flatten(0, 1).sigmoid()
        heat = torch.where(heat == F.max_pool2d(heat, 3, 1, 1), heat, 0).reshape(b, -1)
        score, index = heat.topk(min(CANDIDATES * slots, heat.shape[1]))
        square = index % (height * width)
        kind = index // (height * width) % (end - first) + first
        camera = index // (height * width * (end - first))
        told = outputs[:, :, KINDS:].transpose(1, 2).flatten(2)  # (B, REGRESSED, C * h * w)
        at = camera * height * width + square
        told = told.gather(2, at[:, None].expand(-1, REGRESSED, -1))
        bearing = self.bearing.view(-1)[at] + told[:, 0] * self.square
        distance = RANGE * told[:, 1].clamp(-4, 2).exp()
        place = self.origin[camera] + torch.stack([bearing.cos(), bearing.sin()], -1) * distance[..., None]
        size = self.common_sizes[kind] * told[:, 2:5].clamp(-3, 3).exp().transpose(1, 2)
        size = torch.where(_one_of(kind, ROUND)[..., None], size[..., [1, 1, 2]], size)
        once, twice = torch.atan2(told[:, 6], told[:, 5]), torch.atan2(told[:, 8], told[:, 7]) / 2
        heading = wrap(bearing + torch.where(_one_of(kind, BUILDINGS) | (kind == OBSTACLE), twice, once))
        found = Found(torch.cat([place, heading[..., None]], -1), size, kind.to(torch.uint8), score)
        # Of several that are at one place, only the surest: sorted by score, earlier ones suppress later ones.
        close = (_apart(found, found) < 1) & _alike(found.kind, found.kind)
        earlier = torch.ones(score.shape[1], score.shape[1], dtype=torch.bool, device=score.device).triu(1)
        alone = ~(close & earlier & (score > THRESHOLD)[:, :, None]).any(1)
        keep = alone & (score > THRESHOLD)
        return _largest(found._replace(kind=torch.where(keep, found.kind, 0)), slots)


def _apart(a: Found, b: Found) -> Tensor:
    """How far things (B, S) and (B, R) are apart as their places can be told, (B, S, R): below 1, they may be one.

    Ranges are known by a share of themselves, and bearings well.
    """
    ax, ay, bx, by = (v[..., i] for v in (a.pose, b.pose) for i in (0, 1))
    range_a, range_b = torch.hypot(ax, ay), torch.hypot(bx, by)
    nearer = torch.minimum(range_a[:, :, None], range_b[:, None])
    along = (range_a[:, :, None] - range_b[:, None]).abs() / (1 + 0.12 * nearer)
    turned = wrap(torch.atan2(ay, ax)[:, :, None] - torch.atan2(by, bx)[:, None]).abs()
    wide = torch.minimum(a.size[..., 1][:, :, None], b.size[..., 1][:, None])
    return torch.hypot(along, turned * nearer / (0.3 + 0.35 * wide + 0.015 * nearer))


def _alike(a: Tensor, b: Tensor) -> Tensor:
    """Whether things of kinds (B, S) and (B, R) may be one, (B, S, R) bool; empty slots are like nothing."""
    group = torch.tensor(ALIKE, device=a.device)
    return (group[a.long()][:, :, None] == group[b.long()][:, None]) & (a > 0)[:, :, None]


def _one_of(kind: Tensor, kinds: Sequence[int]) -> Tensor:
    return torch.isin(kind, torch.tensor([int(k) for k in kinds], dtype=kind.dtype, device=kind.device))


def _picked(values: Tensor, which: Tensor) -> Tensor:
    """Rows `which` (B, R) of values (B, S, ...)."""
    return values[torch.arange(len(values), device=values.device)[:, None], which]


def _largest(found: Found, slots: int) -> Found:
    """Those `slots` that look largest; things behind the ego look smaller than they are."""
    x, y = found.pose[..., 0], found.pose[..., 1]
    area = found.size[..., 2] * found.size[..., 1].clamp_min(0.5) / (x * x + y * y).clamp_min(4.0)
    order = torch.where(found.kind > 0, area * torch.where(x < -8, 0.1, 1.0), -1.0)
    if order.shape[1] < slots:
        found = Found(*(F.pad(v, (0, 0) * (v.ndim - 2) + (0, slots - v.shape[1])) for v in found))
        order = F.pad(order, (0, slots - order.shape[1]), value=-1.0)
    _, which = order.topk(slots)
    found = Found(*(_picked(value, which) for value in found))
    there = found.kind > 0
    return Found(found.pose * there[..., None], found.size * there[..., None], found.kind, found.score * there)
