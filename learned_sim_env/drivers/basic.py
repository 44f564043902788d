"""The simplest drivers: one action for ever, and noise on another driver's actions, from a seed of each row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learned_sim_env.drivers.driver import Driver, Observations, needs_bev

# Correlation of the noise from step to step: it lasts about a second.
KEPT = 0.9
# Steps that a row's noise is drawn for at a time.
BLOCK = 64


class ConstantDriver:
    """One action for ever: [steer, throttle_brake]."""

    needs_bev = False

    def __init__(self, steer: float, throttle_brake: float):
        self.action = np.array([steer, throttle_brake], np.float32)

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        return np.tile(self.action, (len(began), 1))


class NoisyDriver:
    """Another driver, with noise on its actions that lasts about a second, the same in every episode of a row.

    Args:
        driver: the other one.
        scale: standard deviations of the noise on steer and throttle_brake.
        seeds: one a row, not negative.
    """

    def __init__(self, driver: Driver, scale: tuple[float, float], seeds: Sequence[int]):
        self.driver, self.scale, self.needs_bev = driver, scale, needs_bev(driver)
        self._seeds = list(seeds)
        self._rngs = [_generator(seed) for seed in seeds]
        rows = len(self._seeds)
        self._noise, self._drawn = np.zeros((rows, 2)), np.zeros((rows, BLOCK, 2))
        self._step = np.zeros(rows, np.int64)  # of each row's episode

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        for i in np.flatnonzero(began & (self._step > 0)):
            self._rngs[i], self._step[i] = _generator(self._seeds[i]), 0
        for i in np.flatnonzero(self._step % BLOCK == 0):
            self._drawn[i] = self._rngs[i].standard_normal((BLOCK, 2))
        fresh = self.scale * self._drawn[np.arange(len(self._step)), self._step % BLOCK]
        self._step += 1
        self._noise = np.where(began[:, None], fresh, KEPT * self._noise + np.sqrt(1 - KEPT**2) * fresh)
        return np.clip(self.driver(observations, began) + self._noise, -1.0, 1.0).astype(np.float32)


def _generator(seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, 7])
