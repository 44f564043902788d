"""What can be spawned, and the attributes that it has."""

from __future__ import annotations

from dataclasses import dataclass, field

from learned_sim_env.carla_standin.wire import ATTRIBUTE_TYPES


@dataclass(frozen=True)
class Attribute:
    """One attribute of a blueprint. recommended: the values that CARLA lists, the default alone if there are none."""

    name: str
    type: str
    value: str
    recommended: tuple[str, ...] = ()
    modifiable: bool = True


@dataclass(frozen=True)
class Blueprint:
    """extent: half of length, width and height [m]; max_steer: of the wheels [deg]; mass [kg]."""

    id: str
    extent: tuple[float, float, float] = (0.0, 0.0, 0.0)
    attributes: tuple[Attribute, ...] = ()
    max_steer: float = 70.0
    mass: float = 1500.0
    tags: tuple[int, ...] = field(default=())  # CityObjectLabel

    @property
    def kind(self) -> str:
        """First part of the id: vehicle, walker, sensor, static, traffic, controller, util or spectator."""
        return self.id.partition(".")[0]

    @property
    def solid(self) -> bool:
        """Whether others can run into it: it is a thing, and has a size."""
        return self.id.startswith(("vehicle.", "walker.", "static.prop.")) and all(self.extent)

    def record(self, uid: int) -> list:
        """As ActorDefinition."""
        attributes = [
            [a.name, ATTRIBUTE_TYPES[a.type], a.value, a.recommended or [a.value] * a.modifiable, a.modifiable, False]
            for a in self.attributes
        ]
        return [uid, self.id, self.id.replace(".", ","), attributes]


def names(blueprint: str, role: str, *roles: str) -> tuple[Attribute, ...]:
    """The attributes that every actor has: its role, and its name for ROS."""
    return (Attribute("role_name", "str", role, (role, *roles)), Attribute("ros_name", "str", blueprint))


def halved(length: float, width: float, height: float) -> tuple[float, float, float]:
    """The extent of a size [m]."""
    return length / 2, width / 2, height / 2
