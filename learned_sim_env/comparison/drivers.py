"""Drivers that know the observation alone, so that every environment of the contract can be driven by them alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from learned_sim_env.policies import RouteFollower
from learned_sim_env.rendering.palette import classes_of
from learned_sim_env.spec import BevSpec, SemanticClass

# Action (2,) float32 for an observation of obs_type "dict".
Driver = Callable[[Mapping[str, np.ndarray]], np.ndarray]
BEV = BevSpec()
# [pixels] on either side of the ego's column within which somebody is ahead; [m] that the ego's front is ahead of it.
LANE_PIXELS, FRONT = 1, 2.5
# Classes that one can run into.
IN_THE_WAY = (SemanticClass.STATIC_OBJECT, SemanticClass.VEHICLE, SemanticClass.PEDESTRIAN)


def gap_ahead(bev: np.ndarray) -> float:
    """Metres from the ego's front to who is next straight ahead in a view (H, W, 3) uint8; infinite if nobody is."""
    lane = bev[: BEV.ego_row, BEV.ego_column - LANE_PIXELS : BEV.ego_column + LANE_PIXELS + 1]
    rows = np.flatnonzero(np.isin(classes_of(lane), IN_THE_WAY).any(1))
    return float((BEV.ego_row - rows.max()) * BEV.metres_per_pixel - FRONT) if len(rows) else float("inf")


@dataclass(frozen=True)
class Careful:
    """Follows the route, slowly enough to stop behind who is ahead."""

    follower: RouteFollower
    braking: float = 2.5  # [m/s^2] that it counts on

    def __call__(self, observation: Mapping[str, np.ndarray]) -> np.ndarray:
        """Action (2,) float32."""
        room = max(gap_ahead(observation["bev"]) - 3.0, 0.0)
        speed = min(self.follower.speed, float(np.sqrt(2.0 * self.braking * room)))
        return replace(self.follower, speed=speed)(observation["ego"])


def careful(ego: np.ndarray, rng: np.random.Generator) -> Driver:
    """Keeps a distance."""
    return Careful(RouteFollower.from_ego(ego))


def blind(ego: np.ndarray, rng: np.random.Generator) -> Driver:
    """Follows the route at 10 m/s and sees nobody."""
    follower = replace(RouteFollower.from_ego(ego), speed=10.0)
    return lambda observation: follower(observation["ego"])


def unsteady(ego: np.ndarray, rng: np.random.Generator) -> Driver:
    """The careful one with noise on its actions that lasts about a second."""
    driver, noise = careful(ego, rng), np.zeros(2)

    def act(observation: Mapping[str, np.ndarray]) -> np.ndarray:
        nonlocal noise
        noise = 0.9 * noise + np.array([0.05, 0.2]) * rng.standard_normal(2)
        return np.clip(driver(observation) + noise, -1.0, 1.0).astype(np.float32)

    return act


# Each is made for an episode from its first ego vector and a generator of its own.
DRIVERS: dict[str, Callable[[np.ndarray, np.random.Generator], Driver]] = {
    "careful": careful,
    "blind": blind,
    "unsteady": unsteady,
}
