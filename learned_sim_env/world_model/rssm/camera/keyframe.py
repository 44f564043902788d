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

from learned_sim_env.world_model.rssm.camera.boxes import FAR
from learned_sim_env.world_model.rssm.camera.ranges import as_bytes, from_bytes, log_range
from learned_sim_env.world_model.rssm.camera.rig import Band, Rig
from learned_sim_env.world_model.rssm.camera.things import Hits, Things

# [m] over the ground at which a plane stands for what was not found, or is too far to be.
PLANE = 90.0
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

    pictures: (B, C, H, W, 4) uint8, the last channel how far away what they show is, see `remembered`.
    generation: (B,) float32, after how many others they were drawn; 0 for real ones.
    real: (B, C, skyline, W, 4) uint8, the last real pictures down to the horizon, so that the sky never fades.
    turned: (B,) [rad] of the ego since then.
    """

    pictures: Tensor
    generation: Tensor
    real: Tensor
    turned: Tensor


class Looked(NamedTuple):
    """What a keyframe says: of the P hits on things, (P, CHANNELS); and behind them, (B, SOURCES, CHANNELS, N).
    float32, colours from 0 to 1; 0 where nothing is shown.
    """

    things: Tensor
    behind: Tensor


class Hypotheses(nn.Module):
    """Looks up a keyframe for all pixels of a rig."""

    def __init__(self, rig: Rig):
        super().__init__()
        self.rig = rig
        points, self._bands = [F.pad(rig.places, (0, 1))], [rig.ground_band]
        range_to_ground = torch.full_like(rig.level, torch.inf)
        range_to_ground[rig.ground] = rig.ground_depth * rig.level[rig.ground]
        on_ground = torch.isfinite(range_to_ground).view(len(rig.cameras), rig.height, rig.width)
        for distance in (PLANE, FAR):
            there = (range_to_ground * SLACK >= distance).view(len(rig.cameras), rig.height, rig.width)
            band = Band.of((there & ~on_ground if distance == FAR else there).numpy())
            rays, origins, level = rig.rays[band.pixels], rig.origins[band.pixels], rig.level[band.pixels, None]
            points.append(origins + rays * (distance / level))
            self._bands.append(band)
        self._sizes = [len(part) for part in points]
        self.points: Tensor
        self.register_buffer("points", torch.cat(points), persistent=False)

    def forward(self, keyframe: Keyframe, motion: Tensor, hits: Hits, now: Things, then: Things) -> Looked:
        """See `Looked`.

        Args:
            motion: (B, 3) pose of the ego in the frame of the keyframe's.
            hits: on the rays of the rig, of things as they are `now`.
            then: the same things as they were when the keyframe was taken, in the ego frame of then; those that were
                not there have no shape.
        """
        b, n, far = len(motion), len(self.rig.rays), self._sizes[-1]
        with torch.autocast(motion.device.type, enabled=False):
            table, cut = self._table(keyframe)
            away = torch.zeros_like(motion)
            away[:, 2] = keyframe.turned
            seen_at = [
                self.rig.appear(self.points[:-far].expand(b, -1, -1), motion),
                self.rig.appear(self.points[-far:].expand(b, -1, -1), away, self.rig.skyline),
            ]
            row = torch.arange(b, device=motion.device)[:, None] * (len(table) // b)
            seen_at[0][0][..., 1] += row
            seen_at[1][0][..., 1] += row + cut
            on_things = self.rig.appear(_before(hits, now, then))
            on_things[0][:, 1] += hits.row * (len(table) // b)
            there = then.shape[hits.row, hits.thing] > 0
            where, inside, distance = (
                torch.cat([values[0].flatten(0, 1), values[1].flatten(0, 1), values[2]])
                for values in zip(*seen_at, on_things, strict=True)
            )
            seen = _shown(table, where, inside, distance)
            sizes = [b * (len(self.points) - far), b * far, len(there)]
            near, backdrop, things = seen.split(sizes, 1)
            behind = torch.cat([part.unflatten(1, (b, -1)) for part in (near, backdrop)], 2).transpose(0, 1)
            out = seen.new_zeros(b, SOURCES, CHANNELS, n)
            parts = zip((BASE, FAR_OFF, BASE), behind.split(self._sizes, 2), self._bands, strict=True)
            for source, colours, band in parts:
                band.spread(colours, out[:, source])
            return Looked(things.T * there[:, None], out)

    def _table(self, keyframe: Keyframe) -> tuple[Tensor, int]:
        """All pictures on top of each other (rows, W, 4) float32, colours from 0 to 1 and logarithms of ranges; a row
        of the batch after the other, and in each the real pictures after so many rows.
        """
        parts = [keyframe.pictures.flatten(1, 2), keyframe.real.flatten(1, 2)]
        table = torch.cat(parts, 1).flatten(0, 1).float()
        return table * table.new_tensor([1 / 255, 1 / 255, 1 / 255, from_bytes(1.0)]), parts[0].shape[1]


def _shown(table: Tensor, where: Tensor, inside: Tensor, distance: Tensor) -> Tensor:
    """What a table, see `Hypotheses._table`, shows at columns and rows (P, 2): (CHANNELS, P)."""
    where = where * where.new_tensor([2 / table.shape[1], 2 / table.shape[0]]) - 1
    found = F.grid_sample(table.permute(2, 0, 1)[None], where[None, None], align_corners=False)[0, :, 0]
    apart = (found[3] - log_range(distance)) / APART
    shown = inside.float()
    return torch.cat([found[:3] * shown, shown[None], ((-apart * apart).exp() * shown)[None]])


def _before(hits: Hits, now: Things, then: Things) -> Tensor:
    """Where the places that rays meet on things were `then` (P, 3), in the ego frame of then."""
    pose = then.pose
    table = torch.cat([now.half, pose[..., :2], pose[..., 2:].cos(), pose[..., 2:].sin()], -1).flatten(0, 1).T
    values = table.contiguous().index_select(1, hits.row * pose.shape[1] + hits.thing)
    x, y, z = (hits.place.T * values[:3]).unbind(0)
    _, _, up, ahead, left, c, s = values.unbind(0)
    return torch.stack([ahead + c * x - s * y, left + s * x + c * y, z + up], -1)


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
