"""Agents' boxes as rays from the cameras meet them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from learned_sim_env.spec import SemanticClass

# [m] How tall agents are, which neither scenes nor states tell: by class, and vehicles by the lengths at which the next
# height begins. The values are those that `rendering.camera` draws.
VEHICLE_LENGTHS = (2.5, 5.3, 6.6)
VEHICLE_HEIGHTS = (1.65, 1.5, 2.1, 3.3)
PEDESTRIAN_HEIGHT, CONE_HEIGHT, BARRIER_HEIGHT = 1.75, 0.75, 1.0
NEAREST = 0.1  # [m] along a camera's axis; boxes around the camera are not seen.
FAR = 1e4  # [m] Depth where a ray meets nothing.


class Hits(NamedTuple):
    """What N rays meet in each of B scenes.

    depth: (B, N) [m] along the optical axis, `FAR` where nothing is met. box: (B, N) int64, which of the boxes, 0 where
    none. place: (B, N, 3) where on it, from -1 to 1 along its length, width and height; 0 where none.
    """

    depth: Tensor
    box: Tensor
    place: Tensor


def heights(size: Tensor, classes: Tensor) -> Tensor:
    """(...) [m], of agents with size (..., 2) [m] and class (...) uint8."""
    length = size.amax(-1)
    kind = torch.bucketize(length, length.new_tensor(VEHICLE_LENGTHS))
    vehicle = length.new_tensor(VEHICLE_HEIGHTS)[kind]
    static = torch.where(length > 1.0, BARRIER_HEIGHT, CONE_HEIGHT)
    tall = torch.where(classes == SemanticClass.STATIC_OBJECT, static, vehicle)
    return torch.where(classes == SemanticClass.PEDESTRIAN, PEDESTRIAN_HEIGHT, tall)


def cast(rays: Tensor, origins: Tensor, pose: Tensor, size: Tensor, classes: Tensor) -> Hits:
    """The nearest boxes on rays, by the slab method (Kay and Kajiya 1986, "Ray tracing complex scenes").

    Args:
        rays, origins: (N, 3) ego frame; of length 1 along the optical axis, from the optical centres [m].
        pose: (B, K, 3) x, y, heading of the boxes' middles in the ego frame.
        size: (B, K, 2) length and width [m].
        classes: (B, K) uint8, 0 for an empty slot.
    """
    b, n = len(pose), len(rays)
    tall = heights(size, classes)
    half = torch.cat([size, tall[..., None]], -1) / 2
    row, box, ray = _candidates(rays, origins, pose, half, classes)
    depth = torch.full((b, n), FAR, device=rays.device)
    which = torch.zeros(b, n, dtype=torch.int64, device=rays.device)
    place = torch.zeros(b, n, 3, device=rays.device)
    # The few rays that may meet a box, rather than all rays for all boxes.
    here, half = pose[row, box], half[row, box]
    c, s = here[:, 2].cos(), here[:, 2].sin()
    direction, start = rays[ray], origins[ray] - torch.cat([here[:, :2], half[:, 2:]], -1)
    direction, start = (
        torch.stack([c * v[:, 0] + s * v[:, 1], c * v[:, 1] - s * v[:, 0], v[:, 2]], -1) for v in (direction, start)
    )
    slow = direction.abs() < 1e-6
    inverse = 1 / torch.where(slow, 1e-6, direction)
    one, other = (-half - start) * inverse, (half - start) * inverse
    enter, leave = torch.minimum(one, other).amax(-1), torch.maximum(one, other).amin(-1)
    met = ((enter < leave) & (enter > NEAREST)).nonzero()[:, 0]
    row, box, ray, enter = row[met], box[met], ray[met], enter[met]
    index = row * n + ray
    flat = depth.view(-1).scatter_reduce_(0, index, enter, "amin")
    first = (flat[index] == enter).nonzero()[:, 0]
    index = index[first]
    which.view(-1)[index] = box[first]
    where = (start[met[first]] + enter[first, None] * direction[met[first]]) / half[met[first]]
    place.view(-1, 3)[index] = where.clamp(-1, 1)
    return Hits(depth, which, place)


def _candidates(
    rays: Tensor, origins: Tensor, pose: Tensor, half: Tensor, classes: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, boxes and rays (P,) int64 of pairs in which the ray passes through the sphere around the box."""
    row, box = (classes > 0).nonzero(as_tuple=True)
    half = half[row, box]
    middle = torch.cat([pose[row, box, :2], half[:, 2:]], -1)
    unit = rays / rays.norm(dim=-1, keepdim=True)
    # Distance from the ray's origin, squared, less what lies along the ray, squared, is the distance from the ray.
    along = middle @ unit.T - (origins * unit).sum(-1)
    apart = (middle * middle).sum(-1, keepdim=True) - 2 * middle @ origins.T + (origins * origins).sum(-1)
    reach = (half * half).sum(-1, keepdim=True)
    pair, ray = ((along > -reach.sqrt()) & (apart - along * along < reach)).nonzero(as_tuple=True)
    return row[pair], box[pair], ray
