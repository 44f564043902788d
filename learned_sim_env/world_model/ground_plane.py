"""What cameras on the ego see after it has moved, as if everything stood still and lay on the ground plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import CameraSpec


class GroundPlane(nn.Module):
    """C cameras of one size, H x W pixels.

    The ground is where a pixel's ray meets it; above the horizon all is infinitely far away, and moves by turns alone.
    What depends on the cameras only is computed once.

    Raises:
        ValueError: for cameras of different sizes.
    """

    level: Tensor
    across: Tensor
    fixed: Tensor
    nearness: Tensor
    sideways: Tensor

    def __init__(self, cameras: Sequence[CameraSpec]):
        super().__init__()
        self.size = (cameras[0].height, cameras[0].width)
        if any((camera.height, camera.width) != self.size for camera in cameras):
            raise ValueError(f"cameras of one ground plane have one size, not {[(c.height, c.width) for c in cameras]}")
        for name, parts in zip(("level", "across", "fixed", "nearness", "sideways"), zip(*map(_constants, cameras))):
            self.register_buffer(name, torch.from_numpy(np.stack(parts)).float(), persistent=False)

    def places_before(self, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Where in their first pictures cameras had what they show from other poses of the ego.

        Args:
            pose: (..., 3) x, y, heading [m, m, rad], in the frame of the ego when they took the first pictures.

        Returns:
            (..., C, H, W, 2) float32 column and row, -1 and 1 being the edges of the picture, as `grid_sample` wants
            them; and (..., C, H, W) bool, whether the first picture holds it.
        """
        # In double precision: a CPU rounds a sine by where in a tensor it stands. Sums and products it does not.
        heading = pose[..., 2].double()
        cosine, sine = (f(heading).float()[..., None, None, None] for f in (torch.cos, torch.sin))
        x, y = (part.float()[..., None, None] for part in pose[..., :2].unbind(-1))
        # Of the ego's way, as the cameras see it: (..., C, 3, 1).
        way = (x * self.sideways[..., 0] + y * self.sideways[..., 1])[..., None]
        # Right, down and forward of the camera, in units of the distance to the ground: (..., C, 3, H * W).
        seen = cosine * self.level + sine * self.across + self.fixed + way * self.nearness
        right, down, depth = seen.unbind(-2)
        ahead = depth > 0
        depth = torch.where(ahead, depth, 1)
        places = torch.stack([right / depth, down / depth], -1)
        held = ahead & (places.abs() <= 1).all(-1)
        places = torch.where(held[..., None], places, 0)
        return places.unflatten(-2, self.size), held.unflatten(-1, self.size)

    def moved(self, frames: Tensor, pose: Tensor) -> Tensor:
        """Frames as seen from other poses of the ego; between pixels colours are blended, and what a frame does not
        hold stays as it was.

        Args:
            frames: (B, C, H, W, 3) uint8.
            pose: (B, 3) x, y, heading [m, m, rad], in the frame of the ego when it saw them.

        Returns:
            (B, C, H, W, 3) uint8.
        """
        places, held = self.places_before(pose)
        images = frames.flatten(0, 1).permute(0, 3, 1, 2).float()
        seen = F.grid_sample(images, places.flatten(0, 1), padding_mode="border", align_corners=False)
        seen = seen.round().to(torch.uint8).permute(0, 2, 3, 1).view(frames.shape)
        return torch.where(held[..., None], seen, frames)


def _constants(camera: CameraSpec) -> tuple[np.ndarray, ...]:
    """Of a camera, what places of pixels are made of.

    A point P that the camera now sees was at R P + t in the ego frame before, R being the turn and t the way. Divided
    by its distance, infinite in the sky, this is R (w position + ray) + w t, with w one over that distance.

    Returns:
        (3, H * W) each what the cosine of the turn multiplies, what its sine does, and what stays; (1, H * W) one over
        the distance [1/m]; (3, 2) what a way forward and to the left is in the axes of the camera. Axes are right and
        down, in half pictures at a depth of 1, and forward.
    """
    rows, columns = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    rays = camera.rays(rows, columns).reshape(-1, 3)
    nearness = np.maximum(-rays[:, 2], 0) / camera.position[2]
    points = nearness[:, None] * np.array(camera.position) + rays
    x, y, z = points.T
    f = camera.focal_length
    axes = camera.rotation * np.array([2 * f / camera.width, 2 * f / camera.height, 1.0])[:, None]
    # Axes (3, 3): columns are forward, left and up of the ego.
    ahead, left, up = (column[:, None] for column in axes.T)
    fixed = up * z - (axes @ np.array(camera.position))[:, None] * nearness
    return ahead * x + left * y, left * x - ahead * y, fixed, nearness[None], axes[:, :2]
