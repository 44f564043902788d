"""The cameras' geometry as tensors: where rays of all pixels lead, and where points appear in the pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from learned_sim_env.spec import CameraSpec

# [m] Ground farther than this from the ego is as good as infinitely far.
REACH = 90.0
# [m] Points nearer to a camera than this, along its axis, are not seen by it.
NEAREST = 0.05


class Rig(nn.Module):
    """C pinholes of one size on the ego; their N pixels one camera after the other, row by row.

    Attributes:
        rays: (N, 3) float32 ego frame, of length 1 along the optical axis. origins: (N, 3) [m].
        azimuth: (N,) [rad] of the rays, + is left.
        level: (N,) float32, how far rays go over the ground for each metre along the axis.
        ground: (G,) int64, pixels whose rays meet the ground within `REACH`. places: (G, 2) [m] where, ego frame.
        ground_depth: (G,) [m] along the axis.
        along, across: (G,) [m] how much ground such a pixel covers along its ray and across it.
    """

    rays: Tensor
    origins: Tensor
    azimuth: Tensor
    level: Tensor
    ground: Tensor
    places: Tensor
    ground_depth: Tensor
    along: Tensor
    across: Tensor

    def __init__(self, cameras: Sequence[CameraSpec]):
        super().__init__()
        self.cameras = tuple(cameras)
        self.height, self.width = cameras[0].height, cameras[0].width
        if any((c.height, c.width, c.fov) != (self.height, self.width, cameras[0].fov) for c in cameras):
            raise ValueError("cameras of one rig have one size and one field of view")
        self.focal_length = cameras[0].focal_length
        self._angles = [(float(np.radians(c.yaw)), float(np.radians(c.pitch))) for c in cameras]
        rows, columns = np.mgrid[0 : self.height, 0 : self.width] + 0.5
        rays = np.concatenate([c.rays(rows, columns).reshape(-1, 3) for c in cameras])
        origins = np.repeat([c.position for c in cameras], self.height * self.width, 0)
        level = np.linalg.norm(rays[:, :2], axis=-1)
        depth = np.where(rays[:, 2] < 0, origins[:, 2] / np.maximum(-rays[:, 2], 1e-9), np.inf)
        ground = np.flatnonzero(depth * level < REACH)
        depth = depth[ground]
        size = depth / self.focal_length
        tensors = {
            "rays": rays,
            "origins": origins,
            "azimuth": np.arctan2(rays[:, 1], rays[:, 0]),
            "level": level,
            "places": origins[ground, :2] + rays[ground, :2] * depth[:, None],
            "ground_depth": depth,
            # A ray that comes down at an angle smears a pixel along it.
            "along": size * depth * level[ground] / origins[ground, 2],
            "across": size,
        }
        for name, value in tensors.items():
            self.register_buffer(name, torch.from_numpy(np.asarray(value, np.float32)), persistent=False)
        self.register_buffer("ground", torch.from_numpy(ground), persistent=False)

    def appear(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Where ego-frame points (..., 3) [m] appear in pictures stacked on top of each other.

        Each is looked for in the camera along whose axis, over the ground, it is the farthest: the one that looks the
        most towards it.

        Returns:
            Column and row (..., 2) [pixels], (0, 0) being the corner of the first, and whether they appear (...) bool.
        """
        ahead, seen = self._seen(0, points)
        camera = torch.zeros_like(ahead)
        for number in range(1, len(self.cameras)):
            more, other = self._seen(number, points)
            better = more > ahead
            ahead, camera = torch.where(better, more, ahead), torch.where(better, float(number), camera)
            seen = tuple(torch.where(better, new, old) for new, old in zip(other, seen, strict=True))
        right, down, depth = seen
        scale = self.focal_length / depth.clamp_min(NEAREST)
        column, row = self.width / 2 + right * scale, self.height / 2 + down * scale
        inside = (depth > NEAREST) & (column > 0) & (column < self.width) & (row > 0) & (row < self.height)
        # Not beyond the middle of the outermost pixels, so that nothing of the picture below is mixed in.
        column, row = column.clamp(0.5, self.width - 0.5), row.clamp(0.5, self.height - 0.5)
        return torch.stack([column, row + self.height * camera], -1), inside

    def _seen(self, number: int, points: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """How far points (..., 3) [m] are from a camera along its axis' direction over the ground (...); and to its
        right, down and along the axis itself, see `CameraSpec.rotation`.
        """
        x, y, z = (v - p for v, p in zip(points.unbind(-1), self.cameras[number].position, strict=True))
        yaw, pitch = self._angles[number]
        c, s = math.cos(yaw), math.sin(yaw)
        ahead, right = c * x + s * y, s * x - c * y
        if pitch == 0:
            return ahead, (right, -z, ahead)
        c, s = math.cos(pitch), math.sin(pitch)
        return ahead, (right, s * ahead - c * z, c * ahead + s * z)
