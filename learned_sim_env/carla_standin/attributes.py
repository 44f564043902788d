"""Attributes of what a client wants spawned: whether they can be what they are meant to be."""

from __future__ import annotations

from math import inf, isfinite

from learned_sim_env.carla_standin.blueprints import Blueprint
from learned_sim_env.carla_standin.wire import Refused

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


def sound(blueprint: Blueprint, attributes: dict[str, str]) -> dict[str, str]:
    """The attributes, whole numbers as such; `Refused` where one is not of its type or out of bounds.

    The client checks neither.
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
