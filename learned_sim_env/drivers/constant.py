"""A driver that always does the same."""

from __future__ import annotations

import numpy as np

from learned_sim_env.drivers.driver import Observations


class Constant:
    """One action for ever: [steer, throttle_brake]."""

    looks = False

    def __init__(self, steer: float, throttle_brake: float):
        self.action = np.array([steer, throttle_brake], np.float32)

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        return np.tile(self.action, (len(began), 1))
