"""Drivers of many drives at once, each knowing the observation alone, so that dream and twin are driven alike."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from learned_sim_env.comparison.drivers import BEV, FRONT, IN_THE_WAY, LANE_PIXELS
from learned_sim_env.data.behaviours import OrnsteinUhlenbeck
from learned_sim_env.policies import RouteFollower
from learned_sim_env.spec import unknown

# Actions (n, 2) float32 in [-1, 1] for views (n, H, W) uint8 of class ids and ego vectors (n, 6) float32.
Act = Callable[[np.ndarray, np.ndarray], np.ndarray]
# Made for n drives from their first ego vectors (n, 6) and a seed of each, on which alone its chance may depend.
Driver = Callable[[np.ndarray, Sequence[int]], Act]


def gaps_ahead(views: np.ndarray) -> np.ndarray:
    """(n,) float32 metres from the egos' fronts to who is straight ahead in views (n, H, W); infinite if nobody."""
    lane = views[:, : BEV.ego_row, BEV.ego_column - LANE_PIXELS : BEV.ego_column + LANE_PIXELS + 1]
    taken: np.ndarray = np.isin(lane, IN_THE_WAY)
    occupied = np.any(taken, axis=2)
    nearest = BEV.ego_row - 1 - occupied[:, ::-1].argmax(1)
    gap = (BEV.ego_row - nearest) * BEV.metres_per_pixel - FRONT
    return np.where(occupied.any(1), gap, np.inf).astype(np.float32)


def expert(ego: np.ndarray, seeds: Sequence[int]) -> Act:
    """Follows the route at 8 m/s and sees nobody."""
    follower = RouteFollower.from_ego(ego)
    return lambda views, ego: follower(ego)


def idm(ego: np.ndarray, seeds: Sequence[int]) -> Act:
    """Follows the route, and who is ahead in the view by the intelligent driver model (Treiber et al. 2000)."""
    follower, wanted, headway, standing, most, comfortable = RouteFollower.from_ego(ego), 10.0, 1.5, 3.0, 2.0, 3.0
    before = np.full(len(ego), np.inf)

    def act(views: np.ndarray, ego: np.ndarray) -> np.ndarray:
        nonlocal before
        speed, gap = ego[:, 0].astype(np.float64), gaps_ahead(views).astype(np.float64)
        known = np.isfinite(gap) & np.isfinite(before)
        # A view has whole pixels only, so a single step says little: no one is taken to come nearer than it drives.
        closing = np.clip(np.subtract(before, gap, out=np.zeros_like(gap), where=known) * 10.0, 0.0, speed)
        before = gap
        desired = standing + speed * headway + speed * closing / (2 * np.sqrt(most * comfortable))
        crowded = np.where(np.isfinite(gap), desired / np.maximum(gap, 0.5), 0.0)
        acceleration = most * (1 - (speed / wanted) ** 4 - crowded**2)
        actions = follower(ego)
        actions[:, 1] = np.clip(acceleration / 4.0, -1.0, 1.0)
        return actions

    return act


def careful(ego: np.ndarray, seeds: Sequence[int]) -> Act:
    """Follows the route at 8 m/s, slowly enough to stop behind who is ahead."""
    follower = RouteFollower.from_ego(ego)

    def act(views: np.ndarray, ego: np.ndarray) -> np.ndarray:
        room = np.maximum(gaps_ahead(views) - 3.0, 0.0)
        speed = np.minimum(follower.speed, np.sqrt(2 * 2.5 * room))
        actions = follower(ego)
        actions[:, 1] = replace(follower, speed=speed)(ego)[:, 1]  # type: ignore[arg-type]
        return actions

    return act


def random(ego: np.ndarray, seeds: Sequence[int]) -> Act:
    """Steering and throttle that look at nothing and drift, forwards more than backwards."""
    noise = [OrnsteinUhlenbeck(np.random.default_rng([seed, 7]), np.array([0.25, 0.5]), tau=1.0) for seed in seeds]

    def act(views: np.ndarray, ego: np.ndarray) -> np.ndarray:
        drifting = np.stack([n.sample() for n in noise]) + np.array([0.0, 0.3])
        return np.clip(drifting, -1.0, 1.0).astype(np.float32)

    return act


_THIS_PROCESS = os.urandom(8).hex()
# Who drives alike whatever the view shows.
BLIND = (expert, random)
DRIVERS: dict[str, Driver] = {"expert": expert, "idm": idm, "careful": careful, "random": random}


def open_driver(name: str) -> Driver:
    """One of `DRIVERS`, or your own: "module:function" of a `Driver`.

    Raises:
        ValueError: if there is no such driver.
        ImportError: if its module cannot be imported.
    """
    if name in DRIVERS:
        return DRIVERS[name]
    module, colon, function = name.partition(":")
    if not colon:
        raise unknown("policy", name, (*DRIVERS, "<module>:<function>"))
    found = getattr(importlib.import_module(module), function, None)
    if not callable(found):
        raise ValueError(f"policy {name!r}: module {module} has no function {function}")
    return found


def identity(name: str) -> str:
    """What drives of a driver are kept by: they are used again only where nothing about it can have changed.

    Of your own it is its attribute `fingerprint`, a text that you change with it. Without, drives are used again only
    as long as this process runs.
    """
    if name in DRIVERS:
        return name
    return f"{name} {getattr(open_driver(name), 'fingerprint', _THIS_PROCESS)}"
