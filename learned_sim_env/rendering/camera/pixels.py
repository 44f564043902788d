"""What each pixel of a set of cameras looks at when nothing stands in the way: a place on the ground, or the sky."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from learned_sim_env.optional import opencv
from learned_sim_env.rendering.camera.ground import CELL, LEVELS, MATERIALS, GroundWindow
from learned_sim_env.spec import CameraSpec

FARTHEST = 110.0  # [m] Ground beyond this is open ground: the picture of it ends there.
MOST_TAPS = 16
_CHUNK = 64  # OpenCV looks up pictures of points: so many side by side.


@dataclass(frozen=True, eq=False)
class _Taps:
    """Ground pixels that look up one level at equally many places. pixels: (n,). places: theirs among all places."""

    level: int
    taps: int
    pixels: np.ndarray
    places: slice


class Pixels:
    """All P pixels of some cameras, one camera after the other, row by row.

    Attributes:
        rays: (P, 3) float32, unit, ego frame.
        is_ground: (P,) bool. ground: (G,) int, pixels that look at the ground.
        places: (G, 2) float32 [m] where, ego frame, at most `FARTHEST`. ranges: (G,) float32 [m] from the camera.
    """

    def __init__(self, cameras: Mapping[str, CameraSpec]):
        rays, places, lateral, along, ranges = [], [], [], [], []
        for camera in cameras.values():
            rows, columns = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
            ray = camera.rays(rows, columns).reshape(-1, 3)
            edges = [self._hits(camera, camera.rays(rows + d, columns).reshape(-1, 3)) for d in (-0.5, 0.0, 0.5)]
            middle = edges[1]
            distance = np.linalg.norm(middle - np.array(camera.position)[:2], axis=-1)
            rays.append(ray / np.linalg.norm(ray, axis=-1, keepdims=True))
            places.append(np.stack([edges[0], middle, edges[2]], 1))
            lateral.append(distance / camera.focal_length)
            along.append(np.linalg.norm(edges[0] - edges[2], axis=-1))
            ranges.append(np.hypot(distance, camera.position[2]))
        self.rays = np.concatenate(rays).astype(np.float32)
        self.is_ground = self.rays[:, 2] < -1e-4
        self.ground = np.flatnonzero(self.is_ground)
        spans, width, length = (np.concatenate(a)[self.ground] for a in (places, lateral, along))
        self.places = spans[:, 1].astype(np.float32)
        self.ranges = np.concatenate(ranges)[self.ground].astype(np.float32)
        self._groups, self._taps = self._grouped(spans, width, length)

    @staticmethod
    def _hits(camera: CameraSpec, rays: np.ndarray) -> np.ndarray:
        """(P, 2) float64: where rays (P, 3) meet the ground, or as far away as is looked at all."""
        height = camera.position[2]
        flat = np.linalg.norm(rays[:, :2], axis=-1)
        reach = np.where(rays[:, 2] < 0, height * flat / np.maximum(-rays[:, 2], 1e-9), np.inf)
        return np.array(camera.position)[:2] + rays[:, :2] / flat[:, None] * np.minimum(reach, FARTHEST)[:, None]

    @staticmethod
    def _grouped(spans: np.ndarray, width: np.ndarray, length: np.ndarray) -> tuple[list[_Taps], np.ndarray]:
        """Far pixels cover a narrow, long piece of the ground: it is looked up at several places along.

        Returns:
            Groups, and all their places (T, 2) float32 [m], each group's padded to whole chunks.
        """
        taps = np.clip(np.ceil(length / np.maximum(width, CELL)), 1, MOST_TAPS).astype(int)
        cell = np.maximum(width, length / taps)
        level = np.clip(np.floor(np.log2(np.maximum(cell / CELL, 1.0)) + 0.35), 0, LEVELS - 1).astype(int)
        groups, places, end = [], [], 0
        for pair in np.unique(np.stack([level, taps], 1), axis=0):
            chosen = np.flatnonzero((level == pair[0]) & (taps == pair[1]))
            share = (np.arange(pair[1]) + 0.5) / pair[1]
            near, far = spans[chosen, 2], spans[chosen, 0]
            # Place by place, not pixel by pixel: sums over the first axis are many times as fast.
            points = (near + (far - near) * share[:, None, None]).reshape(-1, 2)
            missing = -len(points) % _CHUNK
            points = np.concatenate([points, np.zeros((missing, 2))]).astype(np.float32)
            groups.append(_Taps(int(pair[0]), int(pair[1]), chosen, slice(end, end := end + len(points))))
            places.append(points)
        return groups, np.concatenate(places)

    def shares(self, window: GroundWindow, pose: np.ndarray) -> np.ndarray:
        """(G, 4) float32 in [0, 1]: shares of `MATERIALS` in each ground pixel, from a world pose (3,)."""
        cv2 = opencv()
        out = np.empty((len(self.ground), len(MATERIALS)), np.float32)
        x, y = self._in_world(self._taps, pose, window.corner)
        for group in self._groups:
            scale = np.float32(1 / (CELL * 2**group.level))
            looked_up = cv2.remap(
                window.levels[group.level],
                (x[group.places] * scale - np.float32(0.5)).reshape(-1, _CHUNK),
                (y[group.places] * scale - np.float32(0.5)).reshape(-1, _CHUNK),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
            ).reshape(-1, len(MATERIALS))[: len(group.pixels) * group.taps]
            shape = (group.taps, len(group.pixels), len(MATERIALS))
            total = np.add.reduce(looked_up.reshape(shape), axis=0, dtype=np.uint16)
            out[group.pixels] = total * np.float32(1 / (255 * group.taps))
        return out

    def tiled(self, tile: np.ndarray, cell: float, pose: np.ndarray) -> np.ndarray:
        """(G,) float32: a seamless tile (side, side) float32, cells of `cell` [m], where ground pixels look."""
        side = tile.shape[0]
        # From a corner of the tile near by, so that float32 is fine enough.
        corner = np.floor(pose[:2] / (side * cell)) * (side * cell)
        x, y = (
            np.floor(a * np.float32(1 / cell)).astype(np.int64) % side
            for a in self._in_world(self.places, pose, corner)
        )
        return tile[y, x]

    @staticmethod
    def _in_world(places: np.ndarray, pose: np.ndarray, corner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World x and y [m] from `corner` (2,), float32, of ego-frame places (n, 2) float32."""
        c, s = np.float32(np.cos(pose[2])), np.float32(np.sin(pose[2]))
        x0, y0 = (pose[:2] - corner).astype(np.float32)
        x, y = places.T
        return x * c - y * s + x0, x * s + y * c + y0
