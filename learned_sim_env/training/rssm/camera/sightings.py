"""What pictures show of what stands around the ego: outlines roughly as they are drawn, and what hides what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.spec import CameraSpec, SceneryKind, SemanticClass
from learned_sim_env.world_model.geometry import wrap
from learned_sim_env.world_model.rssm.camera.painting.things import heights
from learned_sim_env.world_model.rssm.camera.perception.scenery_finder import MOVER, OBSTACLE


class Things(NamedTuple):
    """What stands around the ego.

    pose: (B, K, 3) in the ego frame. size: (B, K, 3) [m]. kind: (B, K) int64: `SceneryKind`, `OBSTACLE`, `MOVER`.
    """

    pose: Tensor
    size: Tensor
    kind: Tensor


class Squares(NamedTuple):
    """The squares that pictures are looked at in.

    bearing, slope: (C, h * w) float32 [rad] and metres up for each over the ground, of the rays through their middles.
    origin: (C, 3) [m] the optical centres. shape: h and w. square: [rad] that one covers where the axis is.
    """

    bearing: Tensor
    slope: Tensor
    origin: Tensor
    shape: tuple[int, int]
    square: float

    @staticmethod
    def of(cameras: Sequence[CameraSpec], stride: int, device: torch.device | str = "cpu") -> Squares:
        """Squares of `stride` pixels a side."""
        shape = (cameras[0].height // stride, cameras[0].width // stride)
        rows, columns = (np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5) * stride
        rays = np.stack([camera.rays(rows, columns).reshape(-1, 3) for camera in cameras])
        level = np.linalg.norm(rays[..., :2], axis=-1)
        values = np.arctan2(rays[..., 1], rays[..., 0]), rays[..., 2] / level, [camera.position for camera in cameras]
        bearing, slope, origin = (torch.from_numpy(np.asarray(v, np.float32)).to(device) for v in values)
        return Squares(bearing, slope, origin, shape, stride / cameras[0].focal_length)


class Sightings(NamedTuple):
    """P sightings of a thing in a picture, of B * C pictures.

    picture, row, thing: (P,) int64, number of the picture and moment, and slot. mask: (P, h * w) bool, squares in which
    it is the nearest. share: (P,) how much of what is within the picture is seen. distance, bearing: (P,) [m], [rad].
    """

    picture: Tensor
    row: Tensor
    thing: Tensor
    mask: Tensor
    share: Tensor
    distance: Tensor
    bearing: Tensor


def things_around(scenery: dict[str, Tensor], agents: dict[str, Tensor]) -> Things:
    """Scenery and agents as `Moments` has them, as one table."""
    tall = heights(agents["size"], agents["class"])[..., None]
    static = agents["class"] == SemanticClass.STATIC_OBJECT
    kind = torch.where(static, OBSTACLE, MOVER) * (agents["class"] > 0)
    return Things(
        torch.cat([scenery["pose"], agents["pose"]], 1),
        torch.cat([scenery["size"], torch.cat([agents["size"], tall], -1)], 1),
        torch.cat([scenery["kind"].long(), kind], 1),
    )


def sightings(things: Things, squares: Squares) -> Sightings:
    """Where things are seen: their outlines as the renderer draws them, roughly, the nearer over the farther."""
    cameras, count = squares.bearing.shape
    place = things.pose[:, None, :, :2] - squares.origin[:, None, :2]
    distance, bearing = place.norm(dim=-1), torch.atan2(place[..., 1], place[..., 0])  # (B, C, K)
    # How wide something is across the line of sight: planes face the camera, boxes have corners.
    turned = things.pose[:, None, :, 2] - bearing
    half = things.size[:, None] / 2
    solid = (things.kind == SceneryKind.HOUSE) | (things.kind == SceneryKind.BLOCK) | (things.kind >= OBSTACLE)
    across = (half[..., 0] * turned.sin()).abs() + (half[..., 1] * turned.cos()).abs()
    across = torch.where(solid[:, None], across, half[..., 1])
    deep = ((half[..., 0] * turned.cos()).abs() + (half[..., 1] * turned.sin()).abs()) * solid[:, None]
    near = (distance - 0.7 * deep).clamp_min(0.3)
    wide = torch.atan2(across, near)
    left, right = (edge(squares.bearing, 1)[None, :, None] for edge in (torch.amax, torch.amin))
    middle = (left + right) / 2
    inside = wrap(bearing - middle).abs() < (left - right) / 2 + wide
    drawn = (things.kind > 0) & (distance.amin(1) > 0.5)
    row, camera, thing = (inside & drawn[:, None]).nonzero(as_tuple=True)
    near, wide, beta = near[row, camera, thing], wide[row, camera, thing], bearing[row, camera, thing]
    kind, tall = things.kind[row, thing], things.size[row, thing, 2]
    # A thing is seen in the square that it passes through, however thin it is.
    reach = wide.clamp_min(squares.square / 2)
    u = wrap(squares.bearing[camera] - beta[:, None]).abs() / reach[:, None]
    v = (squares.origin[camera, 2, None] + squares.slope[camera] * near[:, None]) / tall[:, None]
    slack = (squares.square / 2 * near / tall)[:, None]
    box = (u <= 1) & (v > -slack.clamp_max(0.5)) & (v < 1 + slack.clamp_max(0.5))
    k = kind[:, None]
    mask = box & torch.where(
        k == SceneryKind.TREE, (u * u + ((v - 0.62) / 0.4) ** 2 < 1) | (u < 0.15) & (v < 0.6), True
    )
    mask &= (k != SceneryKind.CONIFER) | (u < 1.08 - v)
    mask &= (k != SceneryKind.BUSH) | (u * u + ((v - 0.4) / 0.6) ** 2 < 1.1)
    picture = row * cameras + camera
    depth = torch.where(mask, near[:, None], torch.inf)
    nearest = torch.full((len(things.pose) * cameras, count), torch.inf, device=depth.device)
    # Thin things hide nothing.
    hides = depth.masked_fill((wide < squares.square / 4)[:, None], torch.inf)
    nearest.scatter_reduce_(0, picture[:, None].expand(-1, count), hides, "amin")
    seen = mask & (depth <= nearest[picture])
    share = seen.sum(1) / mask.sum(1).clamp_min(1)
    return Sightings(picture, row, thing, seen, share, distance[row, camera, thing], beta)
