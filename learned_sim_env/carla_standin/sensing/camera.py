"""A pinhole camera over the flat world: pixel by pixel, what its ray meets first, the ground or an actor's box.

There are no buildings, no light and no textures.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import radians, tan
from typing import Any

import numpy as np

from learned_sim_env.carla_standin.sensing.rays import axes_of, box_of, enter
from learned_sim_env.carla_standin.world.actors import Actor
from learned_sim_env.carla_standin.world.roads import Roads
from learned_sim_env.optional import require

ROADS, SIDEWALKS, TERRAIN, SKY, ROAD_LINES = 1, 2, 10, 11, 24
# Colours of the tags, as CARLA's CityScapes palette has them, (29, 3) uint8 RGB.
PALETTE = np.array(
    [
        (0, 0, 0), (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153),
        (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0),
        (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32), (110, 190, 160),
        (170, 120, 50), (55, 90, 80), (45, 60, 150), (157, 234, 50), (81, 0, 81), (150, 100, 100), (230, 150, 140),
        (180, 165, 180),
    ],
    np.uint8,
)  # fmt: skip
# [m] of a pixel of the ground's picture, beyond which the ground is all alike, and nearer than which nothing is drawn.
GROUND_PIXEL, FAR, NEAR = 0.2, 150.0, 0.05
# [m] that the largest value of a depth camera stands for.
DEPTH_RANGE = 1000.0


@dataclass(frozen=True)
class View:
    """tags: (H, W) uint8, CARLA's CityObjectLabel. depth: (H, W) [m] along the camera's axis, inf for the sky.

    ids: (H, W) int64 of the actor, 0 where there is none.
    """

    tags: np.ndarray
    depth: np.ndarray
    ids: np.ndarray

    def semantic(self) -> np.ndarray:
        """(H, W, 4) uint8 BGRA: tags in the red channel."""
        return _bgra(np.zeros_like(self.tags), np.zeros_like(self.tags), self.tags)

    def colours(self) -> np.ndarray:
        """(H, W, 4) uint8 BGRA: the tags' colours."""
        return _bgra(*np.moveaxis(PALETTE[self.tags], -1, 0)[::-1])

    def distances(self) -> np.ndarray:
        """(H, W, 4) uint8 BGRA: depth as a share of `DEPTH_RANGE` in 24 bits, red the lowest 8 of them."""
        share = np.rint(np.clip(self.depth / DEPTH_RANGE, 0.0, 1.0) * (2**24 - 1)).astype(np.int64)
        return _bgra(share >> 16, share >> 8 & 255, share & 255)

    def instances(self) -> np.ndarray:
        """(H, W, 4) uint8 BGRA: tags in the red channel, the lowest 16 bits of the actor's id in green and blue."""
        return _bgra(self.ids >> 8 & 255, self.ids & 255, self.tags)


def _bgra(blue: np.ndarray, green: np.ndarray, red: np.ndarray) -> np.ndarray:
    return np.stack([blue, green, red, np.full_like(red, 255)], -1).astype(np.uint8)


@dataclass(frozen=True)
class Camera:
    """fov: horizontal [deg]; the actor carries it."""

    actor: Actor
    width: int
    height: int
    fov: float

    @staticmethod
    def of(actor: Actor) -> Camera:
        """As the actor's attributes say."""
        values = actor.attributes
        return Camera(
            actor,
            int(values.get("image_size_x", 800)),
            int(values.get("image_size_y", 600)),
            float(values.get("fov", 90.0)),
        )

    def see(self, world: Any) -> View:
        """What is to be seen at the moment."""
        place = np.array(self.actor.place)
        axes = axes_of(*np.radians(place[3:]))
        view = self._ground(world.roads, place, axes)
        for actor in world.actors.values():
            if actor.solid and actor is not self.actor.parent:
                self._paint(view, actor, place[:3], axes)
        return view

    @property
    def _focal(self) -> float:
        return self.width / (2.0 * tan(radians(self.fov) / 2.0))

    def _paint(self, view: View, actor: Actor, place: np.ndarray, axes: np.ndarray) -> None:
        """Put an actor's box in front of what is farther away."""
        middle, half, own = box_of(actor)
        offset = axes @ (middle - place)
        reach = float(np.linalg.norm(half))
        farthest = offset[0] + reach
        if farthest < NEAR or offset[0] - reach > FAR:
            return
        # What stands beside the camera, however far, is behind it in part, and would be looked for in every pixel.
        across, up = farthest * self.width / 2.0 / self._focal, farthest * self.height / 2.0 / self._focal
        if abs(offset[1]) - reach > across or abs(offset[2]) - reach > up:
            return
        rows, columns = self._window(offset, half, own @ axes.T)
        rays = _rays(self.width, self.height, self._focal)[rows, columns]
        if not rays.size:
            return
        # One metre along a ray is one metre along the camera's axis: where it enters the box is its depth.
        depth = enter(own @ axes.T @ rays.reshape(-1, 3).T, own @ (middle - place), half)
        depth = depth.reshape(rays.shape[:2])
        closer = (depth < view.depth[rows, columns]) & (depth > NEAR)
        view.depth[rows, columns][closer] = depth[closer]
        view.tags[rows, columns][closer] = actor.blueprint.tags[0]
        view.ids[rows, columns][closer] = actor.id

    def _window(self, offset: np.ndarray, half: np.ndarray, turned: np.ndarray) -> tuple[slice, slice]:
        """Rows and columns that a box can be seen in: its middle (3,) and its axes (3, 3) in the camera's frame."""
        signs = np.array([(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
        corners = signs * half @ turned + offset
        if corners[:, 0].min() < NEAR:
            return slice(0, self.height), slice(0, self.width)
        pixels = corners[:, 1:] * (self._focal / corners[:, :1]) * (1.0, -1.0) + (self.width / 2.0, self.height / 2.0)
        low = np.floor(pixels.min(0)).clip(0, (self.width, self.height)).astype(int)
        high = np.ceil(pixels.max(0)).clip(0, (self.width, self.height)).astype(int)
        return slice(low[1], high[1]), slice(low[0], high[0])

    def _ground(self, roads: Roads, place: np.ndarray, axes: np.ndarray) -> View:
        """Where each pixel's ray meets the plane."""
        picture, origin = ground(roads)
        rays = _rays(self.width, self.height, self._focal) @ axes
        down = rays[..., 2] < -1e-4
        depth = np.where(down, -place[2] / np.where(down, rays[..., 2], -1.0), np.inf)
        depth[depth <= 0.0] = np.inf
        seen = depth < FAR
        spot = place[:2] + np.where(seen, depth, 0.0)[..., None] * rays[..., :2]
        tags = np.where(down, TERRAIN, SKY).astype(np.uint8)
        tags[seen] = ground_tags(picture, origin, spot[seen])
        return View(tags, depth, np.zeros(tags.shape, np.int64))


def ground_tags(picture: np.ndarray, origin: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(N,) uint8: what the ground is at places (N, 2) [m]."""
    cell = np.floor((places - origin) / GROUND_PIXEL).astype(np.int64)
    inside = (cell >= 0).all(-1) & (cell < picture.shape[::-1]).all(-1)
    tags = np.full(len(places), TERRAIN, np.uint8)
    tags[inside] = picture[cell[inside][:, 1], cell[inside][:, 0]]
    return tags


@lru_cache(maxsize=8)
def _rays(width: int, height: int, focal: float) -> np.ndarray:
    """(H, W, 3): through the middle of each pixel, forward, right, up, 1 along the axis."""
    v, u = np.mgrid[0:height, 0:width] + 0.5
    return np.stack([np.ones_like(u), (u - width / 2.0) / focal, -(v - height / 2.0) / focal], -1)


@lru_cache(maxsize=2)
def ground(roads: Roads) -> tuple[np.ndarray, np.ndarray]:
    """The plane seen from above: tags (rows along y, columns along x) uint8, and the corner (2,) [m] it begins at."""
    cv2 = require("cv2", extra="carla")
    pieces = roads.lane_pieces()
    corners = np.array([piece for piece, _ in pieces])
    origin = corners.min((0, 1)) - 5.0
    size = np.ceil((corners.max((0, 1)) + 5.0 - origin) / GROUND_PIXEL).astype(int)
    picture = np.full((size[1], size[0]), TERRAIN, np.uint8)
    for tag in (SIDEWALKS, ROADS):
        for piece, kind in pieces:
            if kind == tag:
                cv2.fillConvexPoly(picture, np.rint((piece - origin) / GROUND_PIXEL).astype(np.int32), tag)
    for a, b in roads.line_pieces():
        ends = [tuple(np.rint((p - origin) / GROUND_PIXEL).astype(int).tolist()) for p in (a, b)]
        cv2.line(picture, ends[0], ends[1], ROAD_LINES, 1)
    return picture, origin
