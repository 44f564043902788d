"""Whoever is measured: networks, scripted drivers and the simulator's own, for rows of any environment alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from learned_sim_env.comparison.drivers import Careful
from learned_sim_env.policies import NetworkPolicy, RouteFollower, open_network, shipped_policies
from learned_sim_env.sight import Sight
from learned_sim_env.simulators.metadrive import POLICIES
from learned_sim_env.spec import unknown

# Observations of obs_type "dict" of B rows: "bev" (B, H, W, 3) uint8, "ego" (B, 6) float32.
Observations = Mapping[str, np.ndarray]


class Driver(Protocol):
    """Drives B rows, always the same ones."""

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """Actions (B, 2) float32 in [-1, 1]; `began` (B,) bool: rows whose episode begins here."""
        ...


class Network:
    """A trained policy, without noise."""

    def __init__(self, policy: NetworkPolicy, num_rows: int):
        self._policy, self._sight = policy, Sight(num_rows)

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        return self._policy(self._sight.look(observations, began))


@dataclass
class Constant:
    """One action for ever. action: [steer, throttle_brake]."""

    action: tuple[float, float]

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        return np.tile(np.array(self.action, np.float32), (len(began), 1))


class Random:
    """Uniform actions, independent from step to step."""

    def __init__(self, num_rows: int, seed: int):
        self._rngs = [np.random.default_rng([seed, i]) for i in range(num_rows)]

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        return np.stack([rng.uniform(-1.0, 1.0, 2) for rng in self._rngs]).astype(np.float32)


class Follower:
    """Follows the route at `speed` [m/s] in the lane where it began; a careful one stops behind who is ahead."""

    def __init__(self, speed: float, careful: bool = False):
        self._speed, self._careful = speed, careful
        self._offset = np.zeros(1)

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        ego = observations["ego"]
        self._offset = np.where(began, RouteFollower.from_ego(ego).offset, self._offset)
        if not self._careful:
            return RouteFollower(self._offset, self._speed)(ego)
        rows = [Careful(RouteFollower(float(o), self._speed)) for o in self._offset]
        return np.stack([row({"bev": v, "ego": e}) for row, v, e in zip(rows, observations["bev"], ego)])


@dataclass
class Noisy:
    """Another driver with noise on its actions that lasts about a second. scale: of steer and throttle_brake."""

    driver: Driver
    scale: tuple[float, float]
    seed: int = 0
    _noise: np.ndarray = field(default_factory=lambda: np.zeros((1, 2)))

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        fresh = self._rng.standard_normal((len(began), 2)) * self.scale
        self._noise = np.where(began[:, None], fresh, 0.9 * self._noise + np.sqrt(1 - 0.9**2) * fresh)
        return np.clip(self.driver(observations, began) + self._noise, -1.0, 1.0).astype(np.float32)


class Insider:
    """MetaDrive's own "expert" or "idm" driver, which reads the simulator and so exists in the twin alone."""

    def __init__(self, simulator: Any, name: str):
        self._simulator, self._name = simulator, name

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        return self._simulator.policy_action(self._name)[None]


def _follower(speed: float, num_rows: int, seed: int) -> Driver:
    return Follower(speed)


def _noisy(strength: float, num_rows: int, seed: int) -> Driver:
    return Noisy(Follower(8.0, careful=True), (0.15 * strength, 0.4 * strength), seed)


# Drivers without training that need the observation alone: from the number of rows and a seed.
SCRIPTED: dict[str, Callable[[int, int], Driver]] = {
    "nothing": lambda n, seed: Constant((0.0, 0.0)),
    "throttle": lambda n, seed: Constant((0.0, 0.5)),
    "random": Random,
    "careful": lambda n, seed: Follower(8.0, careful=True),
    **{f"follow-{speed}": partial(_follower, float(speed)) for speed in (3, 6, 8, 10, 12)},
    **{f"noisy-{i}": partial(_noisy, strength) for i, strength in enumerate((0.5, 1.0, 1.5, 2.5), 1)},
}


def open_driver(name: str, num_rows: int, seed: int = 0, simulator: Any = None) -> Driver:
    """The driver called `name`: of `SCRIPTED`, of MetaDrive's own, that ships, or in a `.safetensors` file.

    Args:
        name: which.
        num_rows: it drives; 1 for MetaDrive's own.
        seed: of its chance, if it leaves anything to chance.
        simulator: for MetaDrive's own.

    Raises:
        ValueError, FileNotFoundError: for an unknown name, or one of MetaDrive's own without its simulator.
    """
    if name in SCRIPTED:
        return SCRIPTED[name](num_rows, seed)
    if name in POLICIES:
        if simulator is None:
            raise ValueError(f"{name!r} reads MetaDrive's insides: it cannot drive where there is no simulator")
        return Insider(simulator, name)
    if Path(name).suffix or name in shipped_policies():
        return Network(open_network(name), num_rows)
    raise unknown("driver", name, (*SCRIPTED, *POLICIES, *shipped_policies(), "<file>.safetensors"))
