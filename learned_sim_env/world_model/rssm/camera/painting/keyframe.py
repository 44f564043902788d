"""Pictures that are remembered, and what they say of the present ones: hypotheses of each pixel's colour.

A pixel shows the ground, an agent, something beside the road, or something far away. For each of these it is known
where that was when the keyframe was taken (image-based rendering), so that its colour is at hand wherever the keyframe
shows it: which it does where what it shows is as far away.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.world_model.geometry import upright
from learned_sim_env.world_model.rssm.camera.painting.casting import FAR, Hits
from learned_sim_env.world_model.rssm.camera.painting.ranges import as_bytes, from_bytes, log_range
from learned_sim_env.world_model.rssm.camera.painting.rig import Band, Rig
from learned_sim_env.world_model.rssm.camera.painting.things import Things

# [m] over the ground at which a plane stands for what was not found, or is too far to be.
PLANE = 90.0
# From this generation of keyframes on the plane is infinitely far: what has not come near by now never does, and would
# grow with every keyframe, which takes it to be at the same distance again.
SETTLED = 2
# What may be behind all things: the ground and, above the horizon, the backdrop, which is far in the last real
# pictures; and the plane, in the keyframe. Channels of each: red, green, blue, whether it is shown, and how well its
# distance fits that of what is shown.
SOURCES, CHANNELS = 2, 5
BASE, FAR_OFF = range(SOURCES)
# Something stands on the ground: nothing is sought much farther than the ground that the ray meets.
SLACK = 1.15
# How far apart, as logarithms, distances may be to fit.
APART = 0.25
# Pixels of a thing from which on they say what its colour is.
FEWEST = 3


class Keyframe(NamedTuple):
    """Remembered pictures of B rows.

    table: (B * rows, W, 4) float32, colours from 0 to 1 and logarithms of ranges, pictures on top of each other, those
    of a row of the batch after those of the other. real: in each row, after so many rows of pixels real ones begin.
    turned: (B,) [rad] of the ego since those. generation: (B,) how many keyframes were made since then.
    """

    table: Tensor
    real: int
    turned: Tensor
    generation: Tensor

    @staticmethod
    def of(pictures: Tensor, real: Tensor, turned: Tensor, generation: Tensor) -> Keyframe:
        """From pictures (B, C, H, W, 4) uint8, the last channel how far away what they show is, see `remembered`; and
        the last real ones down to the horizon, so that the sky never fades, `real` (B, C, skyline, W, 4) uint8.
        """
        parts = [pictures.flatten(1, 2), real.flatten(1, 2)]
        table = torch.cat(parts, 1).flatten(0, 1) * pictures.new_tensor(_UNITS, dtype=torch.float32)
        return Keyframe(table, parts[0].shape[1], turned, generation)


_UNITS = (1 / 255, 1 / 255, 1 / 255, from_bytes(1.0))


class Looked(NamedTuple):
    """What a keyframe says: of the P hits on things, (P, CHANNELS); and behind them, (B, SOURCES, CHANNELS, N).
    float32, colours from 0 to 1; 0 where nothing is shown.
    """

    things: Tensor
    behind: Tensor


class Hypotheses(nn.Module):
    """Looks up a keyframe for all pixels that are to be painted.

    Args:
        rig: the cameras that the keyframe was taken with.
        painted: those whose pictures are painted; all of them if None.
    """

    def __init__(self, rig: Rig, painted: Rig | None = None):
        super().__init__()
        self.rig, self.painted = rig, painted or rig
        rig = self.painted
        shape = (len(rig.cameras), rig.height, rig.width)
        distance = torch.full_like(rig.level, torch.inf)
        distance[rig.ground] = rig.ground_depth * rig.level[rig.ground]
        self._ground = rig.ground_band
        self._plane = Band.of((distance * SLACK >= PLANE).view(shape).numpy())
        self._backdrop = Band.of(torch.isinf(distance).view(shape).numpy())
        plane, backdrop = (
            rig.origins[band.pixels] + rig.rays[band.pixels] * (far / rig.level[band.pixels, None])
            for band, far in ((self._plane, PLANE), (self._backdrop, FAR))
        )
        self.near: Tensor  # (3, G + L) [m] in the ego frame, where pixels show the ground and the plane
        self.register_buffer("near", torch.cat([F.pad(rig.places, (0, 1)), plane]).T.contiguous(), persistent=False)
        self.far: Tensor  # (3, F) [m], and the backdrop
        self.register_buffer("far", backdrop.T.contiguous(), persistent=False)

    def forward(self, keyframe: Keyframe, motion: Tensor, hits: Hits, now: Things, then: Things) -> Looked:
        """See `Looked`.

        Args:
            motion: (B, 3) pose of the ego in the frame of the keyframe's.
            hits: on the rays of what is painted, of things as they are `now`.
            then: the same things as they were when the keyframe was taken, in the ego frame of then; those that were
                not there have no shape.
        """
        b, n, ends = len(motion), len(self.painted.rays), self._ends(len(motion))
        with torch.autocast(motion.device.type, enabled=False):
            turn = upright(torch.stack([motion[:, 2], keyframe.turned]))
            moved = F.pad(motion[:, :2], (0, 1))[..., None]
            near = turn[0] @ self.near + moved
            near[..., len(self.painted.ground) :] -= moved * (keyframe.generation >= SETTLED)[:, None, None]
            places = (near.transpose(0, 1), (turn[1] @ self.far).transpose(0, 1))
            points = torch.cat([*(part.flatten(1) for part in places), _before(hits, now, then)], 1)
            height = torch.full_like(points[0], self.rig.height)
            height[ends[0] : ends[1]] = self.rig.skyline
            where, inside = self.rig.appear(points, height)
            self._turn_to_rows(where[1], keyframe, hits)
            seen = _shown(keyframe.table, where, inside, points)
            near, far, things = seen.tensor_split(ends, 1)
            near, far = (part.unflatten(1, (b, -1)).transpose(0, 1) for part in (near, far))
            out, ground = seen.new_zeros(b, SOURCES, CHANNELS, n), len(self.painted.ground)
            base, far_off = (
                out[:, source].unflatten(-1, (len(self.painted.cameras), -1)) for source in (BASE, FAR_OFF)
            )
            self._ground.spread(near[..., :ground], base)
            self._plane.spread(near[..., ground:], far_off)
            self._backdrop.spread(far, base)
            there = then.shape[hits.row, hits.thing] > 0
            return Looked(things.T * there[:, None], out)

    def _ends(self, b: int) -> tuple[int, int]:
        """How many points are near, and how many are that or far, in b rows."""
        near = b * self.near.shape[1]
        return near, near + b * self.far.shape[1]

    def _turn_to_rows(self, row: Tensor, keyframe: Keyframe, hits: Hits) -> None:
        """Add to rows of pixels (P,) where in the keyframe's table the pictures begin that are meant."""
        b = len(keyframe.turned)
        near, far, things = row.tensor_split(self._ends(b))
        far += keyframe.real
        if b > 1:
            start = torch.arange(b, device=row.device)[:, None] * (len(keyframe.table) // b)
            near.view(b, -1).add_(start)
            far.view(b, -1).add_(start)
            things += start[hits.row, 0]


def _shown(table: Tensor, where: Tensor, inside: Tensor, points: Tensor) -> Tensor:
    """What a table, see `Keyframe`, shows at columns and rows (2, P) of points (3, P) [m]: (CHANNELS, P)."""
    where = where * where.new_tensor([[2 / table.shape[1]], [2 / table.shape[0]]]) - 1
    found = F.grid_sample(table.permute(2, 0, 1)[None], where.T[None, None], align_corners=False)[0, :, 0]
    apart = (found[3] - log_range((points[:2] * points[:2]).sum(0).sqrt())) / APART
    shown = inside.float()
    return torch.cat([found[:3] * shown, shown[None], ((-apart * apart).exp() * shown)[None]])


def _before(hits: Hits, now: Things, then: Things) -> Tensor:
    """Where the places that rays meet on things were `then` (3, P), in the ego frame of then."""
    pose = then.pose
    table = torch.cat([now.half, pose[..., :2], pose[..., 2:].cos(), pose[..., 2:].sin()], -1).flatten(0, 1).T
    values = table.contiguous().index_select(1, hits.row * pose.shape[1] + hits.thing)
    x, y, z = (hits.place.T * values[:3]).unbind(0)
    _, _, up, ahead, left, c, s = values.unbind(0)
    return torch.stack([ahead + c * x - s * y, left + s * x + c * y, z + up])


def remembered(pictures: Tensor, rig: Rig, hits: Hits, solid: Tensor, slots: int) -> tuple[Tensor, Tensor]:
    """Pictures as keyframes have them, and what colours things have in them.

    Args:
        pictures: (B, C, H, W, 3) uint8. hits: of things on the rays. solid: (P,) bool, which of these aren't seen
            through. slots: K of them.

    Returns:
        (B, C, H, W, 4) uint8, last how far away what they show is, see `ranges`; and (B, K, 4) float32 mean colours
        from 0 to 1, and 1 where a colour is known.
    """
    b, n = len(pictures), len(rig.rays)
    depth = torch.full((n,), FAR, device=pictures.device)
    depth[rig.ground] = rig.ground_depth
    depth = depth.repeat(b)
    row, ray, thing = hits.row[solid], hits.ray[solid], hits.thing[solid]
    pixel, met = row * n + ray, hits.depth.view(-1)[hits.flat[solid]]
    depth.scatter_reduce_(0, pixel, met, "amin")
    ranges = as_bytes(log_range(depth.view(b, n) * rig.level)).view(*pictures.shape[:-1], 1)
    first = (depth[pixel] == met).nonzero()[:, 0]
    colours = F.pad(pictures.view(b * n, 3)[pixel[first]].float() / 255, (0, 1), value=1.0)
    total = torch.zeros(b * slots, 4, device=pictures.device).index_add_(0, (row * slots + thing)[first], colours)
    count = total[:, 3:]
    total = torch.where(count >= FEWEST, total / count.clamp_min(1), 0)
    return torch.cat([pictures, ranges], -1), total.view(b, slots, 4)


def depth_of(hits: Hits) -> Tensor:
    """(P,) [m] along the optical axis, of each hit."""
    return hits.depth.view(-1)[hits.flat]
