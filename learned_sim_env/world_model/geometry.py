"""Rigid motions in the plane, batched: poses are (..., 3) x, y, heading [m, m, rad]."""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.spec import BevSpec, SemanticClass


def rotate(points: Tensor, heading: Tensor) -> Tensor:
    """Points (..., 2) turned counter-clockwise by `heading` (...)."""
    c, s = torch.cos(heading), torch.sin(heading)
    x, y = points[..., 0], points[..., 1]
    return torch.stack([c * x - s * y, s * x + c * y], -1)


def upright(heading: Tensor) -> Tensor:
    """(..., 3, 3) float32: what turns places in space counter-clockwise by `heading` (...) about the vertical."""
    c, s, none = heading.cos(), heading.sin(), torch.zeros_like(heading)
    return torch.stack([c, -s, none, s, c, none, none, none, none + 1], -1).unflatten(-1, (3, 3))


def place(pose: Tensor) -> Tensor:
    """Positions of poses (..., 2 or 3) as complex numbers (...): a rotation is then a product, which is cheap."""
    return torch.complex(pose[..., 0], pose[..., 1])


def turn(angle: Tensor) -> Tensor:
    """The complex numbers (...) by which a place is multiplied to rotate it counter-clockwise by `angle` (...)."""
    return torch.polar(_one(angle.dtype, angle.device), angle)


def product(a: Tensor, b: Tensor) -> Tensor:
    """a * b, of complex numbers, broadcast; each the same to the bit wherever in a batch it stands.

    A CPU multiplies most of a tensor with vector instructions and the rest one by one, which rounds differently. In
    double precision products of single-precision numbers are exact, and the sum of two is rounded once, either way.
    """
    if a.dtype != torch.complex64 or torch.is_grad_enabled():
        return a * b
    return (a.to(torch.complex128) * b.to(torch.complex128)).to(torch.complex64)


@functools.cache
def _one(dtype: torch.dtype, device: torch.device) -> Tensor:
    # Made outside of inference mode, so that training may use it as well.
    with torch.inference_mode(False):
        return torch.ones((), dtype=dtype, device=device)


def wrap(angle: Tensor) -> Tensor:
    """Angles [rad] brought into [-pi, pi]."""
    return torch.remainder(angle + torch.pi, 2 * torch.pi) - torch.pi


def unwound(headings: Tensor) -> Tensor:
    """Successive headings (..., N) [rad], all turned by as many whole turns as bring the first into [-pi, pi]."""
    return headings - headings[..., :1] + wrap(headings[..., :1])


def compose(pose: Tensor, motion: Tensor) -> Tensor:
    """The pose after `motion` (..., 3), which is given in the frame of `pose` (..., 3)."""
    after = place(pose) + product(place(motion), turn(pose[..., 2]))
    return torch.cat([torch.view_as_real(after), wrap(pose[..., 2:] + motion[..., 2:])], -1)


def relative(pose: Tensor, frame: Tensor) -> Tensor:
    """`pose` (..., 3) seen from `frame` (..., 3): compose(frame, relative(pose, frame)) == pose."""
    seen = product(place(pose) - place(frame), turn(-frame[..., 2]))
    return torch.cat([torch.view_as_real(seen), wrap(pose[..., 2:] - frame[..., 2:])], -1)


def points_from(points: Tensor, pose: Tensor) -> Tensor:
    """Points (..., N, 2) given in the frame of `pose` (..., 3), in the frame in which `pose` is given."""
    turned = product(torch.view_as_complex(points.contiguous()), turn(pose[..., None, 2]))
    return torch.view_as_real(turned + place(pose)[..., None])


def view_points(bev: BevSpec, device: torch.device | str = "cpu") -> Tensor:
    """Ego-frame places of all pixel centres, row by row: (H * W, 2) float32 [m]."""
    return torch.from_numpy(bev.pixel_centres()).reshape(-1, 2).to(device)


def square_middles(bev: BevSpec, size: int, margin: int = 0) -> Tensor:
    """Ego-frame middles (N, 2) float32 [m] of the squares of `size` pixels a side that a view is cut into, row by row.

    margin: [pixels] more on every side of the view.
    """
    sides = (bev.height + 2 * margin, bev.width + 2 * margin)
    rows, columns = ((torch.arange(side // size) + 0.5) * size - 0.5 - margin for side in sides)
    m = bev.metres_per_pixel
    return torch.cartesian_prod((bev.ego_row - rows) * m, (bev.ego_column - columns) * m)


def integrate(motion: Tensor) -> Tensor:
    """Poses (B, T, 3) after motions (B, T, 3), each in the frame before it, from the pose (0, 0, 0) on."""
    pose, poses = torch.zeros_like(motion[:, 0]), []
    for step in motion.unbind(1):
        pose = compose(pose, step)
        poses.append(pose)
    return torch.stack(poses, 1)


def sample_nearest(view: Tensor, places: Tensor, bev: BevSpec) -> tuple[Tensor, Tensor]:
    """Values (B, N) of a view (B, H, W) at the pixels nearest to ego-frame `places` (B, N, 2) [m].

    Also whether a place is in the view (B, N) bool; where it is not, the value is that of the nearest pixel in it.
    """
    row, column = (x.round().long() for x in bev.pixels(places))
    inside = (row >= 0) & (row < bev.height) & (column >= 0) & (column < bev.width)
    index = row.clamp(0, bev.height - 1) * bev.width + column.clamp(0, bev.width - 1)
    return view.flatten(1).gather(1, index), inside


def viewed_from(views: Tensor, pose: Tensor, bev: BevSpec) -> Tensor:
    """Views (B, H, W) uint8 as seen from `pose` (B, 3), given in their own frames: (B, H, W) uint8.

    The nearest pixel counts; what lies outside the view is off-road.
    """
    seen, inside = sample_nearest(views, points_from(view_points(bev, views.device), pose), bev)
    return torch.where(inside, seen, int(SemanticClass.OFF_ROAD)).to(torch.uint8).view(views.shape)


def sample_bilinear(views: Tensor, places: Tensor, bev: BevSpec) -> Tensor:
    """Values (B, C, N) float32 of views (B, C, H, W), interpolated at ego-frame `places` (B, N, 2) [m]; 0 outside."""
    row, column = bev.pixels(places)
    where = torch.stack([2 * column / (bev.width - 1) - 1, 2 * row / (bev.height - 1) - 1], -1)
    return F.grid_sample(views, where[:, None], align_corners=True, padding_mode="zeros")[:, :, 0]
