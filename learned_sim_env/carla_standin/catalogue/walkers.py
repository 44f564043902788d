"""All walkers, and what leads them."""

from __future__ import annotations

from learned_sim_env.carla_standin.catalogue.blueprint import Attribute, Blueprint, halved, names

COUNT = 52
# Children of two sizes, by number; all others are adults.
_SMALL, _SMALLER = (12, 13, 14), (9, 10, 11, 48, 49)
_ADULT, _CHILD, _SMALL_CHILD = (0.375, 0.375, 1.86), (0.375, 0.375, 1.30), (0.5, 0.5, 1.10)  # [m]
_MASSES = {_ADULT: 75.0, _CHILD: 35.0, _SMALL_CHILD: 25.0}  # [kg]


def _walker(number: int) -> Blueprint:
    name = f"walker.pedestrian.{number:04d}"
    size = _CHILD if number in _SMALL else _SMALL_CHILD if number in _SMALLER else _ADULT
    attributes = (
        *names(name, "pedestrian"),
        # Gender and generation of each are ours: CARLA's documents do not say them.
        Attribute("gender", "str", "female" if number % 2 else "male", modifiable=False),
        Attribute("age", "str", "adult" if size is _ADULT else "child", modifiable=False),
        Attribute("generation", "int", "2" if number > 14 else "1", modifiable=False),
        Attribute("can_use_wheelchair", "bool", "false", modifiable=False),
        Attribute("use_wheelchair", "bool", "false", ("false",)),
        Attribute("is_invincible", "bool", "true"),
        Attribute("speed", "float", "1.4", ("0.0", "1.4", "2.9")),
    )
    return Blueprint(name, halved(*size), attributes, mass=_MASSES[size], tags=(12,))


WALKERS = tuple(map(_walker, range(1, COUNT + 1)))
CONTROLLER = Blueprint("controller.ai.walker", attributes=names("controller.ai.walker", "default"))
