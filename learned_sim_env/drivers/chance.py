"""Drivers that leave something to chance: every row's is a function of its own seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learned_sim_env.drivers.driver import Driver, Observations, looks

# Correlation of the noise from step to step: it lasts about a second.
KEPT = 0.9
# Steps that a row's noise is drawn for at a time.
BLOCK = 64


class Noisy:
    """Another driver, with noise on its actions that lasts about a second.

    Args:
        driver: the other one.
        scale: standard deviations of the noise on steer and throttle_brake.
        seeds: one a row, not negative.
    """

    def __init__(self, driver: Driver, scale: tuple[float, float], seeds: Sequence[int]):
        self.driver, self.scale, self.looks = driver, scale, looks(driver)
        self._rngs = [np.random.default_rng([seed, 7]) for seed in seeds]
        self._noise = np.zeros((len(self._rngs), 2))
        self._drawn, self._step = np.zeros((len(self._rngs), BLOCK, 2)), 0

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        if self._step % BLOCK == 0:
            self._drawn = np.stack([rng.standard_normal((BLOCK, 2)) for rng in self._rngs])
        fresh = self.scale * self._drawn[:, self._step % BLOCK]
        self._step += 1
        self._noise = np.where(began[:, None], fresh, KEPT * self._noise + np.sqrt(1 - KEPT**2) * fresh)
        return np.clip(self.driver(observations, began) + self._noise, -1.0, 1.0).astype(np.float32)
