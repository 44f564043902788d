"""Drivers by name, for many rows at once: networks, scripted drivers and the simulator's own."""

from __future__ import annotations

from learned_sim_env.drivers.catalogue import open_driver
from learned_sim_env.drivers.driver import Driver, Observations, needs_bev
from learned_sim_env.drivers.network import NetworkPolicy, open_network
from learned_sim_env.drivers.ray_features import RayFeatures
from learned_sim_env.drivers.route import RouteFollower

__all__ = [
    "Driver",
    "NetworkPolicy",
    "Observations",
    "RayFeatures",
    "RouteFollower",
    "needs_bev",
    "open_driver",
    "open_network",
]
