"""Agents and scenery as shapes that rays meet: upright boxes, and planes that face the cameras.

Trees, bushes, lamps and posts look much the same from all sides: they are planes through their middles, as
`rendering.camera` draws trees. Houses, blocks and agents are boxes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from learned_sim_env.spec import SceneryKind, SemanticClass
from learned_sim_env.world_model.geometry import compose

# [m] How tall agents are, which neither scenes nor states tell: by class, and vehicles by the lengths at which the next
# height begins. The values are those that `rendering.camera` draws.
VEHICLE_LENGTHS = (2.5, 5.3, 6.6)
VEHICLE_HEIGHTS = (1.65, 1.5, 2.1, 3.3)
PEDESTRIAN_HEIGHT, CONE_HEIGHT, BARRIER_HEIGHT = 1.75, 0.75, 1.0
# What things may be: nothing, vehicles by length, pedestrians, obstacles, then kinds of scenery.
PEDESTRIAN, OBSTACLE = len(VEHICLE_LENGTHS) + 2, len(VEHICLE_LENGTHS) + 3
SCENERY = OBSTACLE  # + a `SceneryKind`
SHAPES = SCENERY + len(SceneryKind)
# Sides of a box that look different: front, back, left and right, top.
FACES = 4
# Half the width of planes: so much of a thing's own, and so much more [m]. A lamp's arm reaches over the road, and what
# is thinner than a pixel would be missed by most rays.
_PLANES = {
    SceneryKind.TREE: (0.55, 0.0),
    SceneryKind.CONIFER: (0.55, 0.0),
    SceneryKind.BUSH: (0.55, 0.0),
    SceneryKind.LAMP: (0.5, 1.7),
    SceneryKind.POST: (0.5, 0.15),
}
# Roofs reach beyond walls.
_OVERHANG = 0.53


class Things(NamedTuple):
    """K slots of B scenes; first agents, then scenery.

    pose: (B, K, 3) x, y, heading in the ego frame; a plane's heading leads away from the cameras. half: (B, K, 3) [m]
    half the length, width and height. shape: (B, K) int64, see `SHAPES`, 0 for an empty slot. side: (B, K) int64, which
    side of a plane is shown. colour: (B, K, 4) mean colour as it was last shown, from 0 to 1, and whether it is known.
    """

    pose: Tensor
    half: Tensor
    shape: Tensor
    side: Tensor
    colour: Tensor


def heights(size: Tensor, classes: Tensor) -> Tensor:
    """(...) [m], of agents with size (..., 2) [m] and class (...) uint8."""
    length = size.amax(-1)
    kind = torch.bucketize(length, length.new_tensor(VEHICLE_LENGTHS))
    vehicle = length.new_tensor(VEHICLE_HEIGHTS)[kind]
    static = torch.where(length > 1.0, BARRIER_HEIGHT, CONE_HEIGHT)
    tall = torch.where(classes == SemanticClass.STATIC_OBJECT, static, vehicle)
    return torch.where(classes == SemanticClass.PEDESTRIAN, PEDESTRIAN_HEIGHT, tall)


def agents_as_things(pose: Tensor, size: Tensor, classes: Tensor, colour: Tensor) -> Things:
    """Agents with pose (B, K, 3), size (B, K, 2) [m], class (B, K) uint8 and colour (B, K, 4), see `Things`."""
    length = size.amax(-1)
    shape = 1 + torch.bucketize(length, length.new_tensor(VEHICLE_LENGTHS))
    shape = torch.where(classes == SemanticClass.PEDESTRIAN, PEDESTRIAN, shape)
    shape = torch.where(classes == SemanticClass.STATIC_OBJECT, OBSTACLE, shape)
    half = torch.cat([size, heights(size, classes)[..., None]], -1) / 2
    return Things(pose, half, shape * (classes > 0), torch.zeros_like(shape), colour)


def scenery_as_things(pose: Tensor, size: Tensor, kind: Tensor, colour: Tensor, eye: Tensor) -> Things:
    """Scenery with pose (B, K, 3), size (B, K, 3) [m], kind (B, K) uint8 and colour (B, K, 4), see `Things`.

    eye: (2,) [m] the middle of the cameras, which planes face.
    """
    kind = kind.long()
    share, more, plane = pose.new_tensor(_WIDTHS).T[:, kind]
    flat = plane > 0
    half = size * pose.new_tensor([_OVERHANG, _OVERHANG, 0.5])
    wide = size[..., 1] * share + more
    half = torch.where(flat[..., None], torch.stack([torch.zeros_like(wide), wide, half[..., 2]], -1), half)
    bearing = torch.atan2(pose[..., 1] - eye[1], pose[..., 0] - eye[0])
    # A lamp's arm is seen to the one side or the other, and the shorter the more one looks along it.
    across = (pose[..., 2] - bearing).sin()
    side = torch.where(kind == SceneryKind.LAMP, ((across + 1) * (FACES / 2)).long().clamp(0, FACES - 1), 0)
    heading = torch.where(flat, bearing, pose[..., 2])
    pose = torch.cat([pose[..., :2], heading[..., None]], -1)
    return Things(pose, half, torch.where(kind > 0, SCENERY + kind, 0), side, colour)


_WIDTHS = [(*_PLANES.get(kind, (0.0, 0.0)), float(kind in _PLANES)) for kind in SceneryKind]


def joined(agents: Things, scenery: Things) -> Things:
    """All of them."""
    return Things(*(torch.cat(parts, 1) for parts in zip(agents, scenery, strict=True)))


def before(things: Things, motion: Tensor, moved: Tensor, eye: Tensor, there: Tensor) -> Things:
    """The same things some time ago.

    Args:
        motion: (B, 3) pose of the ego now in the ego frame of then.
        moved: (B, M, 3) where the first of them, those that move, were then.
        eye: see `scenery_as_things`.
        there: (B, K) bool, which of them were there.
    """
    pose = compose(motion[:, None], things.pose[:, moved.shape[1] :])
    x, y, heading = torch.cat([moved, pose], 1).unbind(-1)
    # Planes face the cameras wherever those are.
    flat = things.half[..., 0] == 0
    heading = torch.where(flat, torch.atan2(y - eye[1], x - eye[0]), heading)
    pose = torch.stack([x, y, heading], -1)
    return things._replace(pose=pose, shape=things.shape * there)
