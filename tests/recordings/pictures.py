"""Pictures that cameras of known calibration would have taken: red and green tell the direction, blue the moment."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from learned_sim_env.spec import CameraSpec

# By name: one that looks ahead and a little down, and two to the sides.
RECORDED = {
    "ahead": CameraSpec(yaw=2.0, pitch=-3.0, position=(0.2, 0.1, 1.6), fov=80.0, height=300, width=320),
    "aside": CameraSpec(yaw=70.0, position=(0.0, 0.4, 1.5), fov=90.0, height=300, width=320),
    "beside": CameraSpec(yaw=-70.0, position=(0.0, -0.4, 1.5), fov=90.0, height=300, width=320),
}
# Blue of the first moment, and how much bluer each one is.
FIRST, BLUER = 30, 2


def shown(rays: np.ndarray) -> np.ndarray:
    """(..., 2) red and green of directions (..., 3)."""
    unit = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    return 128 + np.stack([100 * unit[..., 1], 200 * unit[..., 2]], -1)


@cache
def _first(spec: CameraSpec) -> np.ndarray:
    rays = spec.rays(np.arange(spec.height)[:, None] + 0.5, np.arange(spec.width)[None] + 0.5)
    return np.concatenate([shown(rays), np.zeros((*rays.shape[:2], 1))], -1).round().clip(0, 255).astype(np.uint8)


def taken(spec: CameraSpec, t: int) -> np.ndarray:
    """(H, W, 3) uint8 picture of moment `t`."""
    picture = _first(spec).copy()
    picture[..., 2] = FIRST + BLUER * t
    return picture


def matrix(spec: CameraSpec) -> list[list[float]]:
    """Intrinsic matrix, counted from the middle of the first pixel."""
    return [[spec.focal_length, 0, (spec.width - 1) / 2], [0, spec.focal_length, (spec.height - 1) / 2], [0, 0, 1]]


def write(path: Path, picture: np.ndarray) -> None:
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    flags = [cv2.IMWRITE_JPEG_QUALITY, 98] if path.suffix == ".jpg" else []
    assert cv2.imwrite(str(path), picture[..., ::-1], flags)


def differences(frames: np.ndarray, spec: CameraSpec) -> tuple[np.ndarray, np.ndarray]:
    """Of frames (N, H, W, 3) of the contract's camera: (N, H, W) what red or green are off, and the moment shown."""
    rays = spec.rays(np.arange(spec.height)[:, None] + 0.5, np.arange(spec.width)[None] + 0.5)
    off = np.abs(frames[..., :2] - shown(rays)).max(-1)
    return off, (frames[..., 2].astype(float).mean((1, 2)) - FIRST) / BLUER
