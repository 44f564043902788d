"""A pinhole camera over the flat world: the ground looked up pixel by pixel, boxes painted over it, far ones first.

It shows semantic tags, CARLA's CityObjectLabel. There are no buildings, no light and no textures.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import radians, tan
from typing import Any

import numpy as np

from learned_sim_env.carla_standin.actors import Actor
from learned_sim_env.carla_standin.roads import Roads
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
# [m] of a pixel of the ground's picture, beyond which nothing is seen, and nearer than which nothing is drawn.
GROUND_PIXEL, FAR, NEAR = 0.2, 150.0, 0.3


def palette_colours(tags: np.ndarray) -> np.ndarray:
    """A semantic picture (H, W, 4) uint8, tags in its red channel, as coloured BGRA."""
    picture = np.full_like(tags, 255)
    picture[..., :3] = PALETTE[tags[..., 2]][..., ::-1]
    return picture


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

    def see(self, world: Any) -> np.ndarray:
        """The picture of the moment, (H, W, 4) uint8 BGRA, semantic tags in the red channel."""
        cv2 = require("cv2", extra="carla")
        place = np.array(self.actor.place)
        axes = _axes(*np.radians(place[3:]))
        tags = self._ground(world.roads, place, axes)
        boxes = [a for a in world.actors.values() if a.solid and a is not self.actor.parent]
        boxes.sort(key=lambda a: -float(np.hypot(*(np.array(a.place[:2]) - place[:2]))))
        for box in boxes:
            corners = (_corners(box) - place[:3]) @ axes.T
            # A box that reaches behind the camera cannot be projected corner by corner.
            if corners[:, 0].min() < NEAR or corners[:, 0].min() > FAR:
                continue
            hull = cv2.convexHull(np.rint(self._project(corners)).clip(-9999, 9999).astype(np.int32))
            cv2.fillConvexPoly(tags, hull, int(box.blueprint.tags[0]))
        picture = np.zeros((self.height, self.width, 4), np.uint8)
        picture[..., 2], picture[..., 3] = tags, 255
        return picture

    @property
    def _focal(self) -> float:
        return self.width / (2.0 * tan(radians(self.fov) / 2.0))

    def _project(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) of the camera's frame (forward, right, up) as pixels (N, 2)."""
        scale = self._focal / points[:, :1]
        return points[:, 1:] * scale * (1.0, -1.0) + (self.width / 2.0, self.height / 2.0)

    def _ground(self, roads: Roads, place: np.ndarray, axes: np.ndarray) -> np.ndarray:
        """(H, W) uint8: where each pixel's ray meets the plane."""
        picture, origin = ground(roads)
        v, u = np.mgrid[0 : self.height, 0 : self.width] + 0.5
        rays = np.stack(
            [np.ones_like(u), (u - self.width / 2.0) / self._focal, -(v - self.height / 2.0) / self._focal], -1
        )
        rays = rays @ axes
        down = rays[..., 2] < -1e-4
        distance = np.where(down, -place[2] / np.where(down, rays[..., 2], -1.0), np.inf)
        seen = down & (distance < FAR) & (distance > 0.0)
        spot = place[:2] + np.where(seen, distance, 0.0)[..., None] * rays[..., :2]
        cell = np.floor((spot - origin) / GROUND_PIXEL).astype(np.int64)
        inside = seen & (cell >= 0).all(-1) & (cell < picture.shape[::-1]).all(-1)
        tags = np.where(down, TERRAIN, SKY).astype(np.uint8)
        tags[inside] = picture[cell[inside][:, 1], cell[inside][:, 0]]
        return tags


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


def _axes(pitch: float, yaw: float, roll: float) -> np.ndarray:
    """(3, 3): rows forward, right, up of a left-handed rotation [rad], in world coordinates."""
    cp, sp, cy, sy, cr, sr = np.cos(pitch), np.sin(pitch), np.cos(yaw), np.sin(yaw), np.cos(roll), np.sin(roll)
    return np.array(
        [
            [cp * cy, cp * sy, sp],
            [cy * sp * sr - sy * cr, sy * sp * sr + cy * cr, -cp * sr],
            [-cy * sp * cr - sy * sr, -sy * sp * cr + cy * sr, cp * cr],
        ]
    )


def _corners(actor: Actor) -> np.ndarray:
    """(8, 3): of its box, in the world."""
    (cx, cy, cz), (ex, ey, ez), _, _ = actor.bounding_box()
    signs = np.array([(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
    local = signs * (ex, ey, ez) + (cx, cy, cz)
    return local @ _axes(*np.radians(actor.place[3:])) + actor.place[:3]
