"""Drivers that need nothing but the observation, for demonstrations and measurements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# [rad] A wheel at full lock: what steer 1 means to a typical car.
FULL_LOCK = 0.7
# [m] From the middle of a roadway of two lanes to the middle of one of them, and a little more.
LANE = 2.0


@dataclass(frozen=True)
class RouteFollower:
    """Follows the route at a steady speed and sees nobody: Stanley's steering law, proportional speed control.

    offset: where to drive, in metres left of the middle of the route; a number, or an array with one a row.
    speed: to keep [m/s]. steer_gain: how hard it returns to its place [1/s]. speed_gain: throttle or brake per m/s.
    """

    offset: float | np.ndarray = 0.0
    speed: float = 8.0
    steer_gain: float = 1.0
    speed_gain: float = 0.3

    @staticmethod
    def from_ego(ego: np.ndarray) -> RouteFollower:
        """One that stays in the lane where the ego vectors (..., 6) are, or comes back to the route from far away."""
        return RouteFollower(offset=np.clip(ego[..., 4], -LANE, LANE))

    def __call__(self, ego: np.ndarray) -> np.ndarray:
        """Action (..., 2) float32 in [-1, 1] for ego vectors (..., 6), see `spec.EGO_FIELDS`."""
        speed, distance, heading_error = ego[..., 0], ego[..., 4], ego[..., 5]
        wheel = heading_error + np.arctan2(self.steer_gain * (distance - self.offset), speed + 1.0)
        action = np.stack([wheel / FULL_LOCK, self.speed_gain * (self.speed - speed)], axis=-1)
        return np.clip(action, -1.0, 1.0).astype(np.float32)
