"""The cameras' geometry as tensors: where rays of all pixels lead, and where points appear in the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import CameraSpec

# [m] Ground farther than this from the ego is as good as infinitely far.
REACH = 90.0
# [m] Points nearer to a camera than this, along its axis, are not seen by it.
NEAREST = 0.05


class Band(NamedTuple):
    """Whole rows of each camera's picture, the same in none of them perhaps: those from a first to before a last."""

    rows: tuple[tuple[int, int], ...]
    height: int
    width: int

    @staticmethod
    def of(mask: np.ndarray) -> Band:
        """The smallest that holds all pixels (C, H, W) bool."""
        rows = [np.flatnonzero(camera.any(1)) for camera in mask]
        limits = tuple((int(r[0]), int(r[-1]) + 1) if len(r) else (0, 0) for r in rows)
        return Band(limits, *mask.shape[1:])

    @property
    def pixels(self) -> Tensor:
        """(G,) int64, of all pixels."""
        size = self.height * self.width
        parts = [
            torch.arange(c * size + first * self.width, c * size + last * self.width)
            for c, (first, last) in enumerate(self.rows)
        ]
        return torch.cat(parts)

    def spread(self, values: Tensor, out: Tensor) -> None:
        """Write values (..., G) where they belong in (..., C, H * W)."""
        start = 0
        for c, (first, last) in enumerate(self.rows):
            count = (last - first) * self.width
            out[..., c, first * self.width : last * self.width] = values[..., start : start + count]
            start += count


class Rig(nn.Module):
    """C pinholes of one size on the ego; their N pixels one camera after the other, row by row.

    Attributes:
        rays: (N, 3) float32 ego frame, of length 1 along the optical axis. origins: (N, 3) [m].
        azimuth: (N,) [rad] of the rays, + is left.
        level: (N,) float32, how far rays go over the ground for each metre along the axis.
        ground: (G,) int64, pixels whose rays meet the ground within `REACH`, rows of them. places: (G, 2) [m]
            where, ego frame.
        ground_depth: (G,) [m] along the axis. ground_azimuth: (G,) [rad].
        sight: (C, 4, 3), directions in the ego frame: ahead over the ground, right, down and along the optical axis.
        shift: (C, 4, 1) [m] what is to be added to a product with these, as seen from the camera.
        eye: (2,) [m] the middle of the cameras. lines: (6, N) rays and origins, coordinate by coordinate.
        towards: (N / 4, 3) where squares of four pixels look, over the ground and up, for each metre over the ground.
        along, across: (G,) [m] how much ground such a pixel covers along its ray and across it.
    """

    rays: Tensor
    origins: Tensor
    azimuth: Tensor
    level: Tensor
    ground: Tensor
    places: Tensor
    ground_depth: Tensor
    ground_azimuth: Tensor
    along: Tensor
    across: Tensor
    sight: Tensor
    shift: Tensor
    eye: Tensor
    all_sight: Tensor
    all_shift: Tensor
    middle: Tensor
    towards: Tensor
    lines: Tensor

    def __init__(self, cameras: Sequence[CameraSpec]):
        super().__init__()
        self.cameras = tuple(cameras)
        self.height, self.width = cameras[0].height, cameras[0].width
        if any((c.height, c.width, c.fov) != (self.height, self.width, cameras[0].fov) for c in cameras):
            raise ValueError("cameras of one rig have one size and one field of view")
        self.focal_length = cameras[0].focal_length
        rows, columns = np.mgrid[0 : self.height, 0 : self.width] + 0.5
        rays = np.concatenate([c.rays(rows, columns).reshape(-1, 3) for c in cameras])
        origins = np.repeat([c.position for c in cameras], self.height * self.width, 0)
        level = np.linalg.norm(rays[:, :2], axis=-1)
        depth = np.where(rays[:, 2] < 0, origins[:, 2] / np.maximum(-rays[:, 2], 1e-9), np.inf)
        # Whole rows of pixels, which are handled faster than any others.
        near = (depth * level < REACH).reshape(len(cameras), self.height, -1)
        self.ground_band = Band.of(near & near.all(-1, keepdims=True))
        ground = self.ground_band.pixels.numpy()
        depth = depth[ground]
        size = depth / self.focal_length
        yaws = np.radians([c.yaw for c in cameras])
        ahead = np.stack([np.cos(yaws), np.sin(yaws), np.zeros(len(cameras))], -1)
        sight = np.concatenate([ahead[:, None], [c.rotation for c in cameras]], 1)
        # Whatever is above the horizon is seen in the first so many rows of all cameras.
        above = (rays[:, 2] >= 0).reshape(len(cameras), self.height, -1).any((0, 2))
        self.skyline = int(np.flatnonzero(above).max(initial=0)) + 1
        tensors = {
            "rays": rays,
            "origins": origins,
            "azimuth": np.arctan2(rays[:, 1], rays[:, 0]),
            "level": level,
            "places": origins[ground, :2] + rays[ground, :2] * depth[:, None],
            "ground_depth": depth,
            "ground_azimuth": np.arctan2(rays[ground, 1], rays[ground, 0]),
            # A ray that comes down at an angle smears a pixel along it.
            "along": size * depth * level[ground] / origins[ground, 2],
            "across": size,
            "sight": sight,
            "shift": -sight @ np.array([c.position for c in cameras])[..., None],
            "eye": np.mean([c.position[:2] for c in cameras], 0),
        }
        for name, value in tensors.items():
            self.register_buffer(name, torch.from_numpy(np.asarray(value, np.float32)), persistent=False)
        self.register_buffer("all_sight", self.sight.flatten(0, 1), persistent=False)
        self.register_buffer("all_shift", self.shift.flatten(0, 1), persistent=False)
        self.register_buffer("middle", torch.tensor([[self.width / 2], [self.height / 2]]), persistent=False)
        towards = torch.stack([self.azimuth.cos(), self.azimuth.sin(), self.rays[:, 2] / self.level])
        towards = F.avg_pool2d(towards.view(3, -1, self.height, self.width), 2).flatten(1).T.contiguous()
        self.register_buffer("towards", towards, persistent=False)
        self.register_buffer("lines", torch.cat([self.rays, self.origins], 1).T.contiguous(), persistent=False)
        self.register_buffer("ground", torch.from_numpy(ground), persistent=False)

    def windows(self, corners: Tensor) -> tuple[Tensor, Tensor]:
        """First row and column, and those after the last, (A, C, 2) int64 each, of the pixels of each camera in which
        what lies between corners (A, K, 3) [m] in the ego frame may be seen.
        """
        seen = (self.sight[:, 1:] @ corners.flatten(0, 1).T).add_(self.shift[:, 1:])
        right, down, depth = seen.unflatten(2, corners.shape[:2]).unbind(1)
        scale = self.focal_length / depth.clamp_min(NEAREST)
        places = torch.stack([self.height / 2 + down * scale, self.width / 2 + right * scale], -1)
        least, most, behind = places.amin(2), places.amax(2), depth < NEAREST
        # What reaches behind a camera leaves its picture at the edges that it reaches beyond.
        edge = torch.stack([down, right], -1).mul(self.focal_length / NEAREST)
        crossing = behind.any(2)[..., None]
        front = places.masked_fill(behind[..., None], torch.inf), places.masked_fill(behind[..., None], -torch.inf)
        least = torch.where(crossing, torch.minimum(front[0].amin(2), edge.amin(2)), least)
        most = torch.where(crossing, torch.maximum(front[1].amax(2), edge.amax(2)), most)
        size = places.new_tensor([self.height, self.width])
        first = (least - 0.5).ceil().clamp_min(0)
        last = torch.minimum((most - 0.5).floor() + 1, size).masked_fill(behind.all(2)[..., None], 0)
        return first.transpose(0, 1).long(), last.clamp_min(0).transpose(0, 1).long()

    def appear(self, points: Tensor, height: int | Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Where points (3, P) [m] in the ego frame appear in pictures stacked on top of each other.

        Each is looked for in the camera along whose axis, over the ground, it is the farthest: the one that looks the
        most towards it.

        Args:
            points: coordinate by coordinate.
            height: [pixels] to which pictures are cut off at the bottom, for all points or (P,) for each.

        Returns:
            Column and row (2, P) [pixels], (0, 0) being the corner of the first; and whether they appear (P,) bool.
        """
        height = self.height if height is None else height
        seen = torch.addmm(self.all_shift, self.all_sight, points).unflatten(0, (len(self.cameras), 4))
        ahead, where = seen[0, 0], seen[0, 1:]
        camera = torch.zeros_like(ahead)
        for number in range(1, len(self.cameras)):
            better = seen[number, 0] > ahead
            ahead = torch.where(better, seen[number, 0], ahead)
            camera = camera.masked_fill(better, number)
            where = torch.where(better, seen[number, 1:], where)
        depth = where[2]
        column, row = (where[:2] * (self.focal_length / depth.clamp_min(NEAREST)) + self.middle).unbind(0)
        inside = (depth > NEAREST) & (column > 0) & (column < self.width) & (row > 0) & (row < height)
        # Not beyond the middle of the outermost pixels, so that nothing of the picture below is mixed in.
        column, row = column.clamp(0.5, self.width - 0.5), row.clamp_min(0.5)
        row = torch.minimum(row, height - 0.5) if isinstance(height, Tensor) else row.clamp_max(height - 0.5)
        return torch.stack([column, row + height * camera]), inside
