"""The border between CARLA's left-handed frame (y right, degrees clockwise) and the contract's right-handed one."""

from __future__ import annotations

from math import degrees, radians
from typing import Any

import numpy as np

from learned_sim_env.scene import wrap_angle


def point(location: Any) -> tuple[float, float]:
    """x, y [m] of a `carla.Location` or `carla.Vector3D`, which may be a velocity as well."""
    return location.x, -location.y


def heading(rotation: Any) -> float:
    """Heading [rad] of a `carla.Rotation`."""
    return float(wrap_angle(-radians(rotation.yaw)))


def transform(carla: Any, x: float, y: float, angle: float, z: float) -> Any:
    """`carla.Transform` of a place [m], a heading [rad] and a height [m] of the contract."""
    return carla.Transform(carla.Location(x, -y, z), carla.Rotation(yaw=-degrees(angle)))


def direction(carla: Any, offset: np.ndarray) -> Any:
    """`carla.Vector3D` of length 1 along an offset (2,) of the contract."""
    unit = offset / max(float(np.hypot(*offset)), 1e-9)
    return carla.Vector3D(float(unit[0]), float(-unit[1]), 0.0)
