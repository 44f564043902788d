"""A stand-in for a CARLA 0.9.16 server: its wire protocol over a flat kinematic world, for tests without a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.optional import lazy_names

if TYPE_CHECKING:
    from learned_sim_env.carla_standin.server import Faults, Server

__all__ = ["Faults", "Server"]

# They load msgpack, which the base install has not.
__getattr__ = lazy_names(
    __name__, {"Faults": "learned_sim_env.carla_standin.server", "Server": "learned_sim_env.carla_standin.server"}
)
