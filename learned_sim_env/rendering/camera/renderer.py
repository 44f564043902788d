"""A `Scene` as camera pictures: colours, classes and depths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from learned_sim_env.rendering.camera.appearance import Appearance
from learned_sim_env.rendering.camera.faces import Faces, faces_of, paint_numbers
from learned_sim_env.rendering.camera.ground import CELL, grain, ground_window, window_centre
from learned_sim_env.rendering.camera.pixels import Pixels
from learned_sim_env.rendering.camera.shading import face_colours, ground_colours
from learned_sim_env.rendering.camera.shadows import shadow_outlines, shadow_share
from learned_sim_env.rendering.camera.sky import Sky
from learned_sim_env.rendering.camera.things import things_around
from learned_sim_env.scene import Scene
from learned_sim_env.spec import CAMERAS, CameraSpec, SemanticClass

SAMPLES = 2  # Faces are painted this many times as fine as pixels, in both directions.


class CameraClass(IntEnum):
    """What a pixel of a class image shows."""

    SKY = 0
    GROUND = 1
    ROAD = 2
    LINE = 3
    SCENERY = 4
    STATIC_OBJECT = 5
    VEHICLE = 6
    PEDESTRIAN = 7


_OF_AGENTS = np.full(len(SemanticClass), CameraClass.SCENERY, np.uint8)
for _class in ("STATIC_OBJECT", "VEHICLE", "PEDESTRIAN"):
    _OF_AGENTS[SemanticClass[_class]] = CameraClass[_class]


@dataclass(frozen=True, eq=False)
class Images:
    """One camera's view of one moment.

    rgb: (H, W, 3) uint8. classes: (H, W) uint8 `CameraClass`. depth: (H, W) float32 [m] along the optical axis, inf in
    the sky. Colours are means over a pixel; classes and depths are those of one place in it, a quarter of a pixel below
    and to the right of its middle.
    """

    rgb: np.ndarray
    classes: np.ndarray
    depth: np.ndarray


class CameraRenderer:
    """Draws what cameras on the ego see. The same scene and appearance give the same pictures, bit for bit.

    Args:
        cameras: calibrations by name; the contract's front, left and right if None.
    """

    def __init__(self, cameras: Mapping[str, CameraSpec] | None = None):
        self.cameras = dict(CAMERAS if cameras is None else cameras)
        self._pixels = Pixels(self.cameras)
        self._sky = Sky(self._pixels.rays[~self._pixels.is_ground])
        # Where nothing stands: distances along the optical axis, at the place that classes and depths are taken at.
        self._depths = {name: _ground_depth(camera) for name, camera in self.cameras.items()}

    def render(self, scene: Scene, appearance: Appearance) -> dict[str, np.ndarray]:
        """(H, W, 3) uint8 RGB by camera name."""
        return {name: images.rgb for name, images in self._drawn(scene, appearance, details=False).items()}

    def images(self, scene: Scene, appearance: Appearance) -> dict[str, Images]:
        """Colours, classes and depths by camera name."""
        return self._drawn(scene, appearance, details=True)

    def _drawn(self, scene: Scene, appearance: Appearance, details: bool) -> dict[str, Images]:
        pose, pixels = scene.ego.pose, self._pixels
        things = things_around(scene, appearance.seed)
        eye = np.mean([camera.position for camera in self.cameras.values()], axis=0)
        faces = faces_of(things, eye)
        outlines = shadow_outlines(things, pose[2], (scene.ego.length, scene.ego.width), appearance)
        shadow = np.concatenate([shadow_share(outlines, c, SAMPLES).reshape(-1) for c in self.cameras.values()])

        shares = pixels.shares(ground_window(scene.road_map, window_centre(pose[:2])), pose)
        colours = np.empty((len(pixels.rays), 3), np.float32)
        colours[pixels.ground] = ground_colours(
            shares,
            pixels.tiled(grain(), CELL, pose),
            shadow[pixels.ground],
            pixels.places,
            pixels.ranges,
            pixels.rays[pixels.ground],
            things.lamps,
            appearance,
        )
        colours[~pixels.is_ground] = self._sky.colours(pose[2], appearance)
        painted = face_colours(faces, things, pose[2], eye, appearance)

        out, first, ground_first = {}, 0, 0
        for name, camera in self.cameras.items():
            size = camera.height * camera.width
            numbers = paint_numbers(faces, camera, SAMPLES)
            parts = [numbers[i::SAMPLES, j::SAMPLES].reshape(-1) for i in range(SAMPLES) for j in range(SAMPLES)]
            hit = np.flatnonzero(np.bitwise_or.reduce(parts))
            behind: np.ndarray = colours[first : first + size]
            empty, total = np.zeros(len(hit), np.float32), np.zeros((len(hit), 3), np.float32)
            for part in parts:
                empty += part[hit] == 0
                total += painted[part[hit]]
            behind[hit] = (behind[hit] * empty[:, None] + total) / np.float32(SAMPLES**2)
            if appearance.rain > 0:
                behind = behind + _streaks(camera, pose)[:, None] * np.float32(0.10 * appearance.rain)
            rgb = (np.clip(behind, 0, 1) * 255 + 0.5).astype(np.uint8).reshape(camera.height, camera.width, 3)
            classes, depth = np.zeros((0, 0), np.uint8), np.zeros((0, 0), np.float32)
            if details:
                count = int(pixels.is_ground[first : first + size].sum())
                on_ground = np.full((size, 4), -1.0, np.float32)
                on_ground[pixels.is_ground[first : first + size]] = shares[ground_first : ground_first + count]
                classes, depth = self._details(name, parts[-1], faces, things.classes, on_ground)
                ground_first += count
            out[name] = Images(rgb, classes, depth)
            first += size
        return out

    def _details(
        self, name: str, numbers: np.ndarray, faces: Faces, classes: np.ndarray, shares: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Classes and depths, (H, W) each, from the face number (P,) and the ground's shares (P, 4), -1 in the sky."""
        camera = self.cameras[name]
        kinds = np.where(shares[:, 0] > 0.5, CameraClass.ROAD, CameraClass.GROUND)
        kinds = np.where(shares[:, 2:].sum(1) > 0.4, CameraClass.LINE, kinds)
        depth: np.ndarray = self._depths[name].copy()
        kinds = np.where(np.isfinite(depth), kinds, CameraClass.SKY).astype(np.uint8)
        hit = np.flatnonzero(numbers)
        face = numbers[hit] - 1
        kinds[hit] = _OF_AGENTS[classes[faces.things[face]]]
        ray = _sample_rays(camera)[hit]
        normal = faces.normals[face].astype(np.float64)
        towards = ((faces.corners[face, 0] - np.asarray(camera.position)) * normal).sum(-1)
        across = (ray * normal).sum(-1)
        depth[hit] = towards / np.where(np.abs(across) < 1e-6, 1e-6, across)
        shape = (camera.height, camera.width)
        return kinds.reshape(shape), depth.astype(np.float32).reshape(shape)


def _sample_rays(camera: CameraSpec) -> np.ndarray:
    """(P, 3) float64: through the last sample of every pixel, of length 1 along the optical axis."""
    place = 1 - 0.5 / SAMPLES
    rows, columns = np.mgrid[0 : camera.height, 0 : camera.width] + place
    return camera.rays(rows, columns).reshape(-1, 3)


def _ground_depth(camera: CameraSpec) -> np.ndarray:
    """(P,) float64: depths of the ground [m], inf where there is none."""
    down = -_sample_rays(camera)[:, 2]
    return np.where(down > 0, camera.position[2] / np.maximum(down, 1e-12), np.inf)


def _streaks(camera: CameraSpec, pose: np.ndarray) -> np.ndarray:
    """(P,) float32: falling drops, other ones wherever the ego is."""
    rng = np.random.default_rng([abs(round(v * 100)) for v in pose])
    drops = np.zeros((camera.height, camera.width), np.float32)
    count = camera.height * camera.width // 100
    rows, columns = rng.integers(0, camera.height, count), rng.integers(0, camera.width, count)
    bright = rng.uniform(0.3, 1, count).astype(np.float32)
    for step in range(max(2, camera.height // 14)):
        drops[(rows + step) % camera.height, columns] = bright
    return drops.reshape(-1)
