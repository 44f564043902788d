"""Rigid motions in the plane, batched: poses are (..., 3) x, y, heading [m, m, rad]."""

from __future__ import annotations

import torch
from torch import Tensor

from learned_sim_env.spec import BevSpec


def rotate(points: Tensor, heading: Tensor) -> Tensor:
    """Points (..., 2) turned counter-clockwise by `heading` (...)."""
    c, s = torch.cos(heading), torch.sin(heading)
    x, y = points[..., 0], points[..., 1]
    return torch.stack([c * x - s * y, s * x + c * y], -1)


def wrap(angle: Tensor) -> Tensor:
    """Angles [rad] brought into [-pi, pi]."""
    return angle - 2 * torch.pi * torch.round(angle / (2 * torch.pi))


def compose(pose: Tensor, motion: Tensor) -> Tensor:
    """The pose after `motion` (..., 3), which is given in the frame of `pose` (..., 3)."""
    place = pose[..., :2] + rotate(motion[..., :2], pose[..., 2])
    return torch.cat([place, wrap(pose[..., 2:] + motion[..., 2:])], -1)


def relative(pose: Tensor, frame: Tensor) -> Tensor:
    """`pose` (..., 3) seen from `frame` (..., 3): compose(frame, relative(pose, frame)) == pose."""
    place = rotate(pose[..., :2] - frame[..., :2], -frame[..., 2])
    return torch.cat([place, wrap(pose[..., 2:] - frame[..., 2:])], -1)


def points_from(points: Tensor, pose: Tensor) -> Tensor:
    """Points (..., N, 2) given in the frame of `pose` (..., 3), in the frame in which `pose` is given."""
    return rotate(points, pose[..., None, 2]) + pose[..., None, :2]


def view_points(bev: BevSpec, device: torch.device | str = "cpu") -> Tensor:
    """Ego-frame places of all pixel centres, row by row: (H * W, 2) float32 [m]."""
    return torch.from_numpy(bev.pixel_centres()).reshape(-1, 2).to(device)
