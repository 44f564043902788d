"""Drivers that follow the route, and at most look at who is ahead."""

from __future__ import annotations

import numpy as np

from learned_sim_env.drivers.driver import Observations
from learned_sim_env.drivers.gaps import gaps_ahead
from learned_sim_env.drivers.policies import RouteFollower
from learned_sim_env.spec import CONTRACTS

_DT = CONTRACTS["driving"].dt


class Follower:
    """Follows the route at `speed` [m/s] in the lane where the row's episode began, and sees nobody."""

    looks = False

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


class Careful(Follower):
    """Follows the route at `speed` [m/s], slowly enough to stop behind who is ahead."""

    looks = True
    braking = 2.5  # [m/s^2] that it counts on
    distance = 3.0  # [m] that it keeps when it stands

    def __init__(self, speed: float = 8.0):
        super().__init__(speed)

    def wanted(self, observations: Observations) -> np.ndarray:
        """See `Follower`."""
        room = np.maximum(gaps_ahead(observations["bev"]) - self.distance, 0.0)
        return np.minimum(self.speed, np.sqrt(2 * self.braking * room))


class IDM(Follower):
    """Follows the route, and who is ahead in the view by the intelligent driver model (Treiber et al. 2000)."""

    looks = True
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
