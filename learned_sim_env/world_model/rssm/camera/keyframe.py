"""Pictures that are remembered, and what they say of the present ones: hypotheses of each pixel's colour.

A pixel shows the ground, an agent, or something that stands at an unknown distance. For each of these it is known where
that was when the keyframe was taken (image-based rendering; planes at several distances as Flynn et al., "DeepStereo",
arXiv 1506.06825), so that its colour is at hand wherever the keyframe shows it: which it does where what it shows is as
far away.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.world_model.geometry import points_from, rotate
from learned_sim_env.world_model.rssm.camera.boxes import FAR, Hits
from learned_sim_env.world_model.rssm.camera.ranges import log_range
from learned_sim_env.world_model.rssm.camera.rig import Rig

# [m] over the ground at which something of unknown distance may stand.
DISTANCES = (5.0, 8.0, 13.0, 22.0, 45.0, 1e4)
# Hypotheses: ground, agent, one for each distance, and the backdrop, what is far in the last real pictures. Channels of
# each: red, green, blue, whether it is shown, and how well its distance fits that of what is shown.
SOURCES, CHANNELS = 3 + len(DISTANCES), 5
GROUND, AGENT, FARTHEST, BACKDROP = 0, 1, SOURCES - 2, SOURCES - 1
# Something stands on the ground: nothing is sought much farther than the ground that the ray meets.
SLACK = 1.15
# How far apart, as logarithms, distances may be to fit.
APART = 0.25


class Keyframe(NamedTuple):
    """Remembered pictures of B rows.

    pictures: (B, C, H, W, 4) uint8, the last channel 255 where an agent shows, else 0.
    pose: (B, 3) of the ego. agent_pose: (B, K, 3) in its frame. agent_class: (B, K) uint8, 0 for an empty slot.
    generation: (B,) float32, after how many others it was drawn; 0 for real ones.
    real: (B, C, H, W, 3) uint8, the last real pictures, so that sky and skyline never fade. turned: (B,) [rad] of the
    ego since then.
    ranges, real_ranges: (B, C, H, W) float32, how far away what both show is, see `Ranges`.
    """

    pictures: Tensor
    pose: Tensor
    agent_pose: Tensor
    agent_class: Tensor
    generation: Tensor
    real: Tensor
    turned: Tensor
    ranges: Tensor
    real_ranges: Tensor


class Hypotheses(nn.Module):
    """Looks up a keyframe for all pixels of a rig."""

    def __init__(self, rig: Rig):
        super().__init__()
        self.rig = rig
        pixels, points = [rig.ground], [F.pad(rig.places, (0, 1))]
        range_to_ground = torch.full_like(rig.level, torch.inf)
        range_to_ground[rig.ground] = rig.ground_depth * rig.level[rig.ground]
        for distance in DISTANCES:
            there = (range_to_ground * SLACK >= distance).nonzero()[:, 0]
            pixels.append(there)
            points.append(rig.origins[there] + rig.rays[there] * (distance / rig.level[there])[:, None])
        self._sizes = [len(part) for part in pixels]
        # The last of them are those that may be infinitely far.
        self._far = self._sizes[-1]
        self.pixels: Tensor
        self.points: Tensor
        self.register_buffer("pixels", torch.cat(pixels), persistent=False)
        self.register_buffer("points", torch.cat(points), persistent=False)

    def forward(self, keyframe: Keyframe, motion: Tensor, hits: Hits, agent_pose: Tensor) -> Tensor:
        """(B, SOURCES, CHANNELS, N) float32, colours from 0 to 1; 0 where nothing is shown.

        Args:
            motion: (B, 3) pose of the ego in the frame of the keyframe's.
            hits: on the rays of the rig.
            agent_pose: (B, K, 3) in the ego frame, of the agents in the keyframe's slots.
        """
        b, n = len(motion), len(self.rig.rays)
        rows, real = (v.permute(0, 4, 1, 2, 3).flatten(2, 3).float() / 255 for v in (keyframe.pictures, keyframe.real))
        ranges, far = (v.flatten(1, 2)[:, None] for v in (keyframe.ranges, keyframe.real_ranges))
        with torch.autocast(motion.device.type, enabled=False):
            rows, real = torch.cat([rows, ranges], 1), torch.cat([real, torch.zeros_like(far), far], 1)
            flat, height = self.points[:, :2].expand(b, -1, -1), self.points[:, 2:].expand(b, -1, -1)
            moved = points_from(flat, motion)
            away = torch.zeros_like(motion)
            away[:, 2] = keyframe.turned
            turned = points_from(flat[:, -self._far :], away)
            seen = torch.cat(
                [
                    self._seen(rows, torch.cat([moved, height], -1)),
                    self._seen(real, torch.cat([turned, height[:, -self._far :]], -1)),
                ],
                -1,
            )
            out = seen.new_zeros(b, SOURCES, CHANNELS, n)
            kinds = [GROUND, *range(AGENT + 1, SOURCES)]
            sizes = [*self._sizes, self._far]
            pixels = torch.cat([self.pixels, self.pixels[-self._far :]])
            for kind, colours, at in zip(kinds, seen.split(sizes, -1), pixels.split(sizes), strict=True):
                out[:, kind].index_copy_(2, at, colours)
            out[:, AGENT] = self._agents(rows[:, :4], keyframe, hits, agent_pose)
            return out

    def _seen(self, rows: Tensor, points: Tensor) -> Tensor:
        """What pictures (B, 5, C * H, W), colours, agents and log ranges, show at points (B, P, 3) in their ego frames:
        (B, CHANNELS, P).
        """
        where, inside = self.rig.appear(points)
        where = where * where.new_tensor([2 / rows.shape[3], 2 / rows.shape[2]]) - 1
        found = F.grid_sample(rows, where[:, None], align_corners=False)[:, :, 0]
        apart = found[:, 4] - log_range(points[..., :2].norm(dim=-1))
        # What an agent covers is not behind it, and moves otherwise.
        shown = inside & (found[:, 3] < 0.5)
        fit = (-((apart / APART) ** 2)).exp()
        return torch.cat([found[:, :3], torch.ones_like(fit)[:, None], fit[:, None]], 1) * shown[:, None]

    def _agents(self, rows: Tensor, keyframe: Keyframe, hits: Hits, agent_pose: Tensor) -> Tensor:
        """What the keyframe shows at the places on agents that rays now meet: (B, CHANNELS, N)."""
        out = rows.new_zeros(len(rows), CHANNELS, len(self.rig.rays))
        row = torch.arange(len(rows), device=rows.device)[:, None]
        known = (hits.depth < FAR) & (keyframe.agent_class[row, hits.box] > 0)
        row, pixel = known.nonzero(as_tuple=True)
        if not len(row):
            return out
        box = hits.box[row, pixel]
        now, before = agent_pose[row, box], keyframe.agent_pose[row, box]
        point = self.rig.origins[pixel] + self.rig.rays[pixel] * hits.depth[row, pixel, None]
        moved = rotate(point[:, :2] - now[:, :2], before[:, 2] - now[:, 2]) + before[:, :2]
        where, inside = self.rig.appear(torch.cat([moved, point[:, 2:]], -1))
        colours = _between(rows, row, where)
        shown = (inside & (colours[:, 3] >= 0.5)).float()
        out[row, :, pixel] = torch.cat([colours[:, :3], *[torch.ones_like(colours[:, :1])] * 2], 1) * shown[:, None]
        return out


def _between(rows: Tensor, row: Tensor, where: Tensor) -> Tensor:
    """Colours (P, channels) of pictures (B, channels, H, W) in `row` (P,) at column and row `where` (P, 2) [pixels], as
    `grid_sample` has them.
    """
    low = (where - 0.5).floor()
    share = where - 0.5 - low
    total = where.new_zeros(len(row), rows.shape[1])
    for i in (0, 1):
        for j in (0, 1):
            column = (low[:, 0] + i).clamp(0, rows.shape[3] - 1).long()
            line = (low[:, 1] + j).clamp(0, rows.shape[2] - 1).long()
            weight = (share[:, 0] - (1 - i)).abs() * (share[:, 1] - (1 - j)).abs()
            total += rows[row, :, line, column] * weight[:, None]
    return total
