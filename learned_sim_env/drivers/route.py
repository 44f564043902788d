"""Drivers that follow the route, and at most look at what is ahead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env.drivers.driver import Observations
from learned_sim_env.drivers.gaps import gaps_ahead
from learned_sim_env.spec import CONTRACTS

_DT = CONTRACTS["driving"].dt
# [rad] A wheel at full lock: what steer 1 means to a typical car.
FULL_LOCK = 0.7
# [m] From the middle of a roadway of two lanes to the middle of one of them, and a little more.
LANE = 2.0


@dataclass(frozen=True)
class RouteFollower:
    """Follows the route, without regard to traffic: Stanley's steering law, proportional control of a steady speed.

    offset: where to drive, in metres left of the middle of the route; a number, or an array with one a row.
    speed: to keep [m/s], likewise. steer_gain: how hard it returns to its place [1/s]. speed_gain: throttle or brake
    per m/s.
    """

    offset: float | np.ndarray = 0.0
    speed: float | np.ndarray = 8.0
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


# [m, m/s] What targets of 1 ask for: so far to the left of where one is; and targets of -1 and 1, from 0 to this speed.
SIDEWAYS, FASTEST = 2.0, 12.0


def follow(targets: np.ndarray, ego: np.ndarray) -> np.ndarray:
    """Actions that carry out targets of where to drive along the route, and how fast.

    What is left to decide is what driving is about; noise on it weaves within a lane, where noise on the wheel leaves
    the road.

    Args:
        targets: (..., 2) [sideways, speed] in [-1, 1], see `SIDEWAYS` and `FASTEST`.
        ego: (..., 6), see `spec.EGO_FIELDS`.

    Returns:
        (..., 2) float32 in [-1, 1], [steer, throttle_brake].
    """
    offset, speed = ego[..., 4] + SIDEWAYS * targets[..., 0], FASTEST * (1.0 + targets[..., 1]) / 2.0
    return RouteFollower(offset, speed)(ego)


def targets_of(actions: np.ndarray, ego: np.ndarray) -> np.ndarray:
    """The targets by which `follow` gives `actions`, or those most like them: its inverse.

    Args:
        actions: (..., 2) in [-1, 1], [steer, throttle_brake].
        ego: (..., 6), see `spec.EGO_FIELDS`.

    Returns:
        (..., 2) float32 in [-1, 1], [sideways, speed].
    """
    law, speed = RouteFollower(), ego[..., 0]
    # Short of a quarter turn, where the law's arc tangent ends.
    angle = np.clip(FULL_LOCK * actions[..., 0] - ego[..., 5], -1.5, 1.5)
    sideways = -np.tan(angle) * (speed + 1.0) / law.steer_gain
    wanted = speed + actions[..., 1] / law.speed_gain
    targets = np.stack([sideways / SIDEWAYS, 2.0 * wanted / FASTEST - 1.0], axis=-1)
    return np.clip(targets, -1.0, 1.0).astype(np.float32)


class RouteDriver:
    """Follows the route at `speed` [m/s] in the lane where the row's episode began, without regard to traffic."""

    needs_bev = False

    def __init__(self, speed: float):
        self.speed, self._offset = speed, np.zeros(1, np.float32)

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        ego = observations["ego"]
        self._offset = np.where(began, RouteFollower.from_ego(ego).offset, self._offset)
        return RouteFollower(self._offset, self.wanted(observations))(ego)

    def wanted(self, observations: Observations) -> float | np.ndarray:
        """[m/s] To be driven now: a number, or (n,)."""
        return self.speed


class CarefulDriver(RouteDriver):
    """Follows the route at `speed` [m/s], slowly enough to stop behind an obstacle ahead."""

    needs_bev = True
    braking = 2.5  # [m/s^2] that it counts on
    distance = 3.0  # [m] that it keeps when it stands

    def __init__(self, speed: float = 8.0):
        super().__init__(speed)

    def wanted(self, observations: Observations) -> np.ndarray:
        """See `RouteDriver`."""
        room = np.maximum(gaps_ahead(observations["bev"]) - self.distance, 0.0)
        return np.minimum(self.speed, np.sqrt(2 * self.braking * room))


class IDMDriver(RouteDriver):
    """Follows the route, and a vehicle ahead in the view by the intelligent driver model (Treiber et al. 2000)."""

    needs_bev = True
    headway, standing = 1.5, 3.0  # [s, m]
    most, comfortable = 2.0, 3.0  # [m/s^2] of acceleration and of braking
    full = 4.0  # [m/s^2] taken to be what full throttle or brake gives

    def __init__(self) -> None:
        super().__init__(10.0)
        self._before = np.full(1, np.inf)

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        actions = super().__call__(observations, began)
        speed = observations["ego"][:, 0].astype(np.float64)
        gap = gaps_ahead(observations["bev"]).astype(np.float64)
        before = np.where(began, np.inf, self._before)
        known = np.isfinite(gap) & np.isfinite(before)
        # A view has whole pixels only, so a single step says little: no one is taken to come nearer than it drives.
        closing = np.clip(np.subtract(before, gap, out=np.zeros_like(gap), where=known) / _DT, 0.0, speed)
        self._before = gap
        desired = self.standing + speed * self.headway + speed * closing / (2 * np.sqrt(self.most * self.comfortable))
        crowded = np.where(np.isfinite(gap), desired / np.maximum(gap, 0.5), 0.0)
        acceleration = self.most * (1 - (speed / self.speed) ** 4 - crowded**2)
        actions[:, 1] = np.clip(acceleration / self.full, -1.0, 1.0)
        return actions
