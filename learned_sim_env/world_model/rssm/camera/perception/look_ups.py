"""Fixed bilinear look-ups: what pictures show at given places around the ego."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import CameraSpec

# [m] Points nearer to a camera than this, along its axis, are not seen by it.
NEAREST = 0.3


class LookUps(nn.Module):
    """Features of pictures at M points: means over the cameras that show them, 0 where none does.

    Args:
        cameras: C calibrations, all of one size.
        points: (M, 3) ego frame [m].
        stride: [pixels] of a picture along a side of a feature.
    """

    def __init__(self, cameras: Sequence[CameraSpec], points: np.ndarray, stride: int):
        super().__init__()
        height, width = cameras[0].height // stride, cameras[0].width // stride
        self._pixels = len(cameras) * height * width
        parts, counts, depths = [], np.zeros(len(points)), np.zeros(len(points))
        for number, camera in enumerate(cameras):
            row, column, depth = camera.project(points)
            seen = (depth > NEAREST) & (row >= 0) & (row < camera.height) & (column >= 0) & (column < camera.width)
            counts += seen
            depths += np.where(seen, depth, 0)
            point = np.flatnonzero(seen)
            # Features are at the middles of the squares that they stand for.
            r, c = (np.clip(v[seen] / stride - 0.5, 0, n - 1) for v, n in ((row, height), (column, width)))
            r0, c0 = np.minimum(r.astype(int), height - 2), np.minimum(c.astype(int), width - 2)
            for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
                weight = np.abs(1 - i - (r - r0)) * np.abs(1 - j - (c - c0))
                parts.append((point, (number * height + r0 + i) * width + c0 + j, weight))
        rows, pixels, weights = (np.concatenate([part[i] for part in parts]) for i in range(3))
        order = np.argsort(rows, kind="stable")
        self.seen: Tensor  # (M,) bool: whether any camera shows the point
        self.depth: Tensor  # (M,) float32 [m] along the axes of those that do, 1 where none does
        self.start: Tensor
        self.pixel: Tensor
        self.weight: Tensor
        for name, values in (
            ("seen", counts > 0),
            ("depth", np.where(counts > 0, depths / np.maximum(counts, 1), 1).astype(np.float32)),
            ("start", np.searchsorted(rows[order], np.arange(len(points))).astype(np.int32)),
            ("pixel", pixels[order].astype(np.int32)),
            ("weight", (weights / counts[rows])[order].astype(np.float32)),
        ):
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, channels, H / stride, W / stride) to (M, B, channels), of the same dtype."""
        b, _, channels = features.shape[:3]
        table = features.permute(1, 3, 4, 0, 2).reshape(self._pixels, b * channels)
        # A sum of weighted rows of a table: a product with a sparse matrix.
        weight = self.weight.to(table.dtype)
        found = F.embedding_bag(self.pixel, table, self.start, mode="sum", per_sample_weights=weight)
        return found.view(-1, b, channels)
