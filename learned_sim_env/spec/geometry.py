"""Where the pixels of views and cameras are: the geometry that a contract fixes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class BevSpec:
    """Geometry of the bird's-eye view: the ego stays at (ego_row, ego_column), facing up."""

    height: int = 64
    width: int = 64
    metres_per_pixel: float = 0.75
    ego_row: int = 48
    ego_column: int = 32

    def pixels(self, places: Any) -> tuple[Any, Any]:
        """Row and column (...), not rounded, at which ego-frame places (..., 2) [m] appear; NumPy or torch."""
        m = self.metres_per_pixel
        return self.ego_row - places[..., 0] / m, self.ego_column - places[..., 1] / m

    def pixel_centres(self) -> np.ndarray:
        """Ego-frame position of every pixel's centre, shape (height, width, 2) float32, metres (x forward, y left)."""
        rows, columns = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        x = (self.ego_row - rows) * self.metres_per_pixel
        y = (self.ego_column - columns) * self.metres_per_pixel
        return np.stack([x, y], axis=-1)


@dataclass(frozen=True)
class CameraSpec:
    """Calibration of a pinhole camera that is fixed to the ego, without roll.

    Args:
        yaw: [degrees] of the optical axis from straight ahead, + is left.
        pitch: [degrees] of the optical axis from the horizon, + is up.
        position: [m] of the optical centre in the ego frame: x forward, y left, z up from the ground.
        fov: [degrees] horizontal field of view, between the left edge of the picture and the right one.
        height, width: [pixels]; pixels are square, and the axis goes through the middle of the picture.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    position: tuple[float, float, float] = (0.0, 0.0, 1.5)
    fov: float = 70.0
    height: int = 64
    width: int = 96

    def __post_init__(self) -> None:
        if not 0 < self.fov < 180:
            raise ValueError(f"fov {self.fov!r} is not between 0 and 180 degrees")
        if self.height < 1 or self.width < 1:
            raise ValueError(f"a camera of {self.height} x {self.width} pixels has none")

    @property
    def focal_length(self) -> float:
        """[pixels]"""
        return float(self.width / 2 / np.tan(np.radians(self.fov) / 2))

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3) float64: rows are the camera's right, down and forward in the ego frame (x forward, y left, z up)."""
        cy, sy = np.cos(np.radians(self.yaw)), np.sin(np.radians(self.yaw))
        cp, sp = np.cos(np.radians(self.pitch)), np.sin(np.radians(self.pitch))
        forward = np.array([cp * cy, cp * sy, sp])
        right = np.array([sy, -cy, 0.0])
        return np.stack([right, np.cross(forward, right), forward])

    def rays(self, rows: Any, columns: Any) -> np.ndarray:
        """Ego-frame directions (..., 3) float64 through places in the picture; pixel (0, 0) is centred on 0.5, 0.5.

        They have a length of 1 along the optical axis: a ray times a depth leads from the optical centre to the point.
        """
        f = self.focal_length
        x, y = (np.asarray(columns) - self.width / 2) / f, (np.asarray(rows) - self.height / 2) / f
        x, y = np.broadcast_arrays(x, y)
        return np.stack([x, y, np.ones_like(x)], -1) @ self.rotation

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Row, column and depth [m], each (...), of ego-frame points (..., 3); negative depths lie behind it."""
        x, y, depth = np.moveaxis((points - np.asarray(self.position)) @ self.rotation.T, -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            row = self.height / 2 + self.focal_length * y / depth
            column = self.width / 2 + self.focal_length * x / depth
        return row, column, depth


# [m] Length and width of the ego where nothing else is known: those of MetaDrive's default vehicle.
EGO_SIZE = (4.515, 1.852)

# The cameras that a driver's view is made of: ahead, and to both sides with ten degrees of overlap.
CAMERAS = {"front": CameraSpec(), "left": CameraSpec(yaw=60.0), "right": CameraSpec(yaw=-60.0)}
