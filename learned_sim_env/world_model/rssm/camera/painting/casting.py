"""Things as rays from the cameras meet them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from learned_sim_env.world_model.rssm.camera.painting.rig import Rig
from learned_sim_env.world_model.rssm.camera.painting.things import Things

NEAREST = 0.1  # [m] along a camera's axis; what is around the camera is not seen.
FAR = 1e4  # [m] Depth where a ray meets nothing.
# Layers of what a ray meets: the nearest agent, the nearest thing of scenery, and the next one.
LAYERS, AGENT, FIRST, SECOND = 3, 0, 1, 2
# See `Hits.filled_up`.
TOGETHER = 32


class Hits(NamedTuple):
    """What the N rays of a rig meet in B scenes.

    depth: (B, LAYERS, N) [m] along the optical axis, `FAR` where nothing is met. row, layer, ray, thing: (P,) int64,
    each of the P places where something is met. place: (P, 3) where on it, from -1 to 1 along its length, width and
    height.
    """

    depth: Tensor
    row: Tensor
    layer: Tensor
    ray: Tensor
    thing: Tensor
    place: Tensor

    @property
    def flat(self) -> Tensor:
        """(P,) int64, where each of them is in a flat (B, LAYERS, N)."""
        return (self.row * LAYERS + self.layer) * self.depth.shape[2] + self.ray

    def filled_up(self) -> Hits:
        """The same, the last place as often as makes P a multiple of `TOGETHER`.

        A CPU computes so many numbers at a time and rounds what remains differently: so every place comes out the same
        wherever among the others it stands.
        """
        p = self.ray.shape[0]
        some = torch.arange(p + -p % TOGETHER, device=self.ray.device).clamp_max(p - 1)
        return Hits(self.depth, *(values.index_select(0, some) for values in self[1:]))


class Outlines(NamedTuple):
    """Where A things of B scenes may be seen in C cameras' pictures.

    row, slot: (A,) int64, which they are. table: (7, A) cos and sin of headings, x, y and half sizes, see `Things`.
    first, last: (A, C, 2) int64, first rows and columns, and those after the last.
    """

    row: Tensor
    slot: Tensor
    table: Tensor
    first: Tensor
    last: Tensor

    @staticmethod
    def of(rig: Rig, things: Things) -> Outlines:
        """Rectangles around the corners of boxes and planes."""
        row, slot = (things.shape > 0).nonzero(as_tuple=True)
        pose, half = things.pose[row, slot], things.half[row, slot]
        x, y, heading = pose.unbind(-1)
        c, s = heading.cos(), heading.sin()
        along, across, up = (half[:, None] * half.new_tensor(_CORNERS)).unbind(-1)
        ahead, left = c[:, None] * along - s[:, None] * across, s[:, None] * along + c[:, None] * across
        corners = torch.stack([x[:, None] + ahead, y[:, None] + left, up], -1)
        return Outlines(row, slot, torch.stack([c, s, x, y, *half.unbind(-1)]), *rig.windows(corners))

    def of_cameras(self, numbers: range) -> Outlines:
        """The same in some of the pictures only."""
        some = slice(numbers.start, numbers.stop)
        return self._replace(first=self.first[:, some], last=self.last[:, some])


_CORNERS = [(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (0, 2)]


def cast(rig: Rig, things: Things, agents: int, outlines: Outlines | None = None) -> Hits:
    """What rays meet, by the slab method (Kay and Kajiya 1986, "Ray tracing complex scenes").

    agents: how many of the slots are agents'. outlines: of the things in the rig's pictures, if at hand.
    """
    b, n = len(things.pose), len(rig.rays)
    outlines = Outlines.of(rig, things) if outlines is None else outlines
    row, slot, table, *_ = outlines
    which, ray = _candidates(rig, outlines)
    # The few rays that may meet a thing, rather than all rays for all things.
    c, s, x, y, *sides = table.index_select(1, which).unbind(0)
    dx, dy, dz, u, v, w = rig.lines.index_select(1, ray).unbind(0)
    u, v = u - x, v - y
    direction = (c * dx + s * dy, c * dy - s * dx, dz)
    begin = (c * u + s * v, c * v - s * u, w - sides[2])
    enter = torch.full_like(x, NEAREST)
    leave = torch.full_like(x, FAR)
    for d, o, h in zip(direction, begin, sides, strict=True):
        inverse = 1 / torch.where(d.abs() < 1e-6, 1e-6, d)
        one, other = (-h - o) * inverse, (h - o) * inverse
        enter = torch.maximum(enter, torch.minimum(one, other))
        leave = torch.minimum(leave, torch.maximum(one, other))
    met = ((enter <= leave) & (enter > NEAREST)).nonzero()[:, 0]
    enter, which, ray = enter[met], which[met], ray[met]
    thing = slot[which]
    scenery = thing >= agents
    # Scenes have their layers one after the other.
    index = scenery * n + ray if b == 1 else (row[which] * LAYERS + scenery) * n + ray
    flat = torch.full((b * LAYERS * n,), FAR, device=x.device)
    flat.scatter_reduce_(0, index, enter, "amin")
    first = flat[index] == enter
    # The next thing of scenery, behind the first one.
    later = (scenery & ~first).nonzero()[:, 0]
    behind = index[later] + n
    flat.scatter_reduce_(0, behind, enter[later], "amin")
    first, second = first.nonzero()[:, 0], later[flat[behind] == enter[later]]
    chosen = torch.cat([first, second])
    # Where on the thing, in its own frame.
    values = torch.stack([*begin, *direction, *sides]).index_select(1, met[chosen]).view(3, 3, -1)
    place = (values[0] + enter[chosen] * values[1]) / values[2].clamp_min(1e-3)
    layer = torch.cat([scenery[first].long(), torch.full_like(second, SECOND)])
    return Hits(flat.view(b, LAYERS, n), row[which[chosen]], layer, ray[chosen], thing[chosen], place.clamp(-1, 1).T)


def _candidates(rig: Rig, outlines: Outlines) -> tuple[Tensor, Tensor]:
    """Things and rays (P,) int64 of pairs in which the ray passes through the rectangle around the thing."""
    first, device = outlines.first, outlines.first.device
    height, width = (outlines.last - first).clamp_min(0).unbind(-1)
    area, width = (height * width).flatten(), width.flatten()
    number = torch.repeat_interleave(area)
    within = torch.arange(number.shape[0], device=device) - (area.cumsum(0) - area)[number]
    across = width[number]
    corner = torch.arange(len(rig.cameras), device=device) * rig.height + first[..., 0]
    corner = (corner * rig.width + first[..., 1]).flatten()
    ray = corner[number] + within // across * (rig.width - across) + within
    return number // len(rig.cameras), ray
