"""What the stand-in can spawn, by CARLA's ids, and what it has that clients cannot spawn."""

from __future__ import annotations

from functools import cache
from math import inf, isfinite

from learned_sim_env.carla_standin.catalogue.blueprint import Attribute, Blueprint
from learned_sim_env.carla_standin.catalogue.props import PROPS
from learned_sim_env.carla_standin.catalogue.sensors import SENSORS
from learned_sim_env.carla_standin.catalogue.vehicles import VEHICLES
from learned_sim_env.carla_standin.catalogue.walkers import CONTROLLER, WALKERS
from learned_sim_env.carla_standin.wire import Refused

__all__ = ["BLUEPRINTS", "SPECTATOR", "UIDS", "Attribute", "Blueprint", "sound_attributes", "traffic"]

BLUEPRINTS: dict[str, Blueprint] = {b.id: b for b in (*VEHICLES, *WALKERS, CONTROLLER, *PROPS, *SENSORS)}
# Not for clients to spawn, but an actor all the same.
SPECTATOR = Blueprint("spectator")
# Ids of the blueprints on the wire.
UIDS = {name: uid for uid, name in enumerate([*BLUEPRINTS, SPECTATOR.id], start=1)}
# Least and most of attributes outside of which nothing can be computed.
BOUNDS = {
    "image_size_x": (1, 8192),
    "image_size_y": (1, 8192),
    "fov": (1.0, 179.0),
    "sensor_tick": (0.0, inf),
    "channels": (1, 1024),
    "range": (0.0, 1e4),
    "points_per_second": (0, 10_000_000),
    "rotation_frequency": (0.0, 1e4),
}


@cache
def traffic(name: str) -> Blueprint:
    """Of a light or a sign of a map, which clients cannot spawn either."""
    UIDS.setdefault(name, len(UIDS) + 1)
    return Blueprint(name, (0.3, 0.3, 2.5), tags=(7 if name.endswith("light") else 8,))


def sound_attributes(blueprint: Blueprint, attributes: dict[str, str]) -> dict[str, str]:
    """The attributes of what a client wants spawned, whole numbers as such.

    Raises:
        Refused: where one is not of its type or out of bounds; the client checks neither.
    """
    types = {attribute.name: attribute.type for attribute in blueprint.attributes}
    checked = dict(attributes)
    for name, text in attributes.items():
        kind = types.get(name)
        if kind not in ("int", "float"):
            continue
        try:
            value = float(text)
        except ValueError:
            raise Refused(f"attribute {name} of {blueprint.id}: {text!r} is no {kind}") from None
        least, most = BOUNDS.get(name, (-inf, inf))
        if not (isfinite(value) and least <= value <= most):
            raise Refused(f"attribute {name} of {blueprint.id}: {text} is not a number from {least:g} to {most:g}")
        if kind == "int":
            checked[name] = str(int(value))
    return checked
