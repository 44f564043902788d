"""Pictures that are remembered, and what they say of the present ones: hypotheses of each pixel's colour.

A pixel shows the ground, an agent, or something that stands at an unknown distance. For each of these it is known where
that was when the keyframe was taken (image-based rendering; planes at several distances as Flynn et al., "DeepStereo",
arXiv 1506.06825), so that its colour is at hand wherever the keyframe shows it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.world_model.camera.boxes import FAR, Hits
from learned_sim_env.world_model.camera.rig import Rig
from learned_sim_env.world_model.geometry import points_from, rotate

# [m] over the ground at which something of unknown distance may stand.
DISTANCES = (5.0, 10.0, 20.0, 40.0, 1e4)
# Hypotheses: ground, agent, and one for each distance. Channels of each: red, green, blue, agent, whether it is shown.
SOURCES, CHANNELS = 2 + len(DISTANCES), 5
# Something stands on the ground: nothing is sought much farther than the ground that the ray meets.
SLACK = 1.15


class Keyframe(NamedTuple):
    """Remembered pictures of B rows.

    pictures: (B, C, H, W, 4) uint8, the last channel 255 where an agent shows, else 0.
    pose: (B, 3) of the ego. agent_pose: (B, K, 3) in its frame. agent_class: (B, K) uint8, 0 for an empty slot.
    generation: (B,) float32, after how many others it was drawn; 0 for real ones.
    """

    pictures: Tensor
    pose: Tensor
    agent_pose: Tensor
    agent_class: Tensor
    generation: Tensor


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
        b = len(motion)
        rows = keyframe.pictures.permute(0, 4, 1, 2, 3).flatten(2, 3).float() / 255
        out = motion.new_zeros(b, SOURCES, CHANNELS, len(self.rig.rays))
        flat = points_from(self.points[:, :2].expand(b, -1, -1), motion)
        seen = self._seen(rows, torch.cat([flat, self.points[:, 2:].expand(b, -1, -1)], -1))
        kinds = [0, *range(2, SOURCES)]
        for kind, colours, pixels in zip(
            kinds, seen.split(self._sizes, -1), self.pixels.split(self._sizes), strict=True
        ):
            out[:, kind, :, pixels] = colours
        self._agents(out, rows, keyframe, hits, agent_pose)
        return out

    def _agents(self, out: Tensor, rows: Tensor, keyframe: Keyframe, hits: Hits, agent_pose: Tensor) -> None:
        """Writes what the keyframe shows at the places on agents that rays now meet."""
        row, box = torch.arange(len(rows), device=rows.device)[:, None], hits.box
        known = (hits.depth < FAR) & (keyframe.agent_class[row, box] > 0)
        row, pixel = known.nonzero(as_tuple=True)
        if not len(row):
            return
        box = hits.box[row, pixel]
        now, then = agent_pose[row, box], keyframe.agent_pose[row, box]
        point = self.rig.origins[pixel] + self.rig.rays[pixel] * hits.depth[row, pixel, None]
        moved = rotate(point[:, :2] - now[:, :2], then[:, 2] - now[:, 2]) + then[:, :2]
        where, inside = self.rig.appear(torch.cat([moved, point[:, 2:]], -1))
        colours = torch.cat([_between(rows, row, where), torch.ones_like(where[:, :1])], 1) * inside[:, None]
        out[row, 1, :, pixel] = colours

    def _seen(self, rows: Tensor, points: Tensor) -> Tensor:
        """(B, CHANNELS, P) colours of pictures (B, 4, C * H, W) at points (B, P, 3) in their ego frame."""
        where, inside = self.rig.appear(points)
        where = where * where.new_tensor([2 / rows.shape[3], 2 / rows.shape[2]]) - 1
        colours = F.grid_sample(rows, where[:, None], align_corners=False)[:, :, 0]
        return torch.cat([colours, torch.ones_like(colours[:, :1])], 1) * inside[:, None]


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
