"""Camera frames that one can predict without a model: the last one copied, or moved with the ego."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from learned_sim_env.spec import CameraSpec

# [m] What lies this far away, the sky and the horizon, moves by turns alone.
FAR = 1e6


def warped_over_ground(frames: np.ndarray, pose: np.ndarray, camera: CameraSpec) -> np.ndarray:
    """Frames as seen from other poses of the ego, as if everything stood still and lay on the ground plane.

    The ground is where a pixel's ray meets it; above the horizon everything is infinitely far. Between pixels colours
    are blended; what the frame does not hold stays as it was.

    Args:
        frames: (B, H, W, 3) uint8.
        pose: (B, T, 3) x, y, heading [m, m, rad], in the frame of the ego when it saw them.
        camera: that saw them, and sees them now.

    Returns:
        (B, T, H, W, 3) uint8.
    """
    places, held = places_before(pose, camera)
    b, t = pose.shape[:2]
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float().repeat_interleave(t, 0)
    grid = torch.from_numpy(places).reshape(b * t, camera.height, camera.width, 2)
    seen = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    moved = seen.round().to(torch.uint8).permute(0, 2, 3, 1).reshape(b, t, *frames.shape[1:]).numpy()
    return np.where(held[..., None], moved, frames[:, None])


def places_before(pose: np.ndarray, camera: CameraSpec) -> tuple[np.ndarray, np.ndarray]:
    """Where in its first picture a camera had what it shows from other poses of the ego, see `warped_over_ground`.

    Args:
        pose: (B, T, 3) x, y, heading [m, m, rad], in the frame of the ego when it took the first picture.

    Returns:
        (B, T, H, W, 2) float32 column and row, -1 and 1 being the edges of the picture, as `grid_sample` wants them;
        and (B, T, H, W) bool, whether the first picture holds it.
    """
    rows, columns = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    rays = camera.rays(rows, columns)
    down = -rays[..., 2]
    reach = np.where(down > 0, camera.position[2] / np.maximum(down, 1e-9), np.inf)
    points = np.array(camera.position) + rays * np.minimum(reach, FAR)[..., None]
    x, y, heading = (pose[:, :, i, None, None].astype(np.float64) for i in range(3))
    c, s = np.cos(heading), np.sin(heading)
    there = np.stack(
        [
            x + c * points[..., 0] - s * points[..., 1],
            y + s * points[..., 0] + c * points[..., 1],
            np.broadcast_to(points[..., 2], (*pose.shape[:2], *down.shape)),
        ],
        -1,
    )
    row, column, depth = camera.project(there)
    held = (depth > 0) & (row >= 0) & (row <= camera.height) & (column >= 0) & (column <= camera.width)
    places = np.stack([2 * column / camera.width - 1, 2 * row / camera.height - 1], -1)
    return np.where(held[..., None], places, 0.0).astype(np.float32), held
