"""What the stand-in can spawn, by CARLA's ids, and what it has that nobody can spawn."""

from __future__ import annotations

from functools import cache

from learned_sim_env.carla_standin.catalogue.blueprint import Attribute, Blueprint
from learned_sim_env.carla_standin.catalogue.props import PROPS
from learned_sim_env.carla_standin.catalogue.sensors import SENSORS
from learned_sim_env.carla_standin.catalogue.vehicles import VEHICLES
from learned_sim_env.carla_standin.catalogue.walkers import CONTROLLER, WALKERS

__all__ = ["BLUEPRINTS", "SPECTATOR", "UIDS", "Attribute", "Blueprint", "traffic"]

BLUEPRINTS: dict[str, Blueprint] = {b.id: b for b in (*VEHICLES, *WALKERS, CONTROLLER, *PROPS, *SENSORS)}
# Not for clients to spawn, but an actor all the same.
SPECTATOR = Blueprint("spectator")
# Ids of the blueprints on the wire.
UIDS = {name: uid for uid, name in enumerate([*BLUEPRINTS, SPECTATOR.id], start=1)}


@cache
def traffic(name: str) -> Blueprint:
    """Of a light or a sign of a map, which clients cannot spawn either."""
    UIDS.setdefault(name, len(UIDS) + 1)
    return Blueprint(name, (0.3, 0.3, 2.5), tags=(7 if name.endswith("light") else 8,))
