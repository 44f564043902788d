"""What the stand-in can spawn, with CARLA's names, attributes and sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from learned_sim_env.carla_standin.wire import ATTRIBUTE_TYPES


@dataclass(frozen=True)
class Attribute:
    """One attribute of a blueprint; recommended values as CARLA lists them."""

    name: str
    type: str
    value: str
    recommended: tuple[str, ...] = ()
    modifiable: bool = True


@dataclass(frozen=True)
class Blueprint:
    """extent: half of length, width and height [m]; max_steer: of the wheels [deg]."""

    id: str
    extent: tuple[float, float, float] = (0.0, 0.0, 0.0)
    attributes: tuple[Attribute, ...] = ()
    max_steer: float = 70.0
    mass: float = 1500.0
    tags: tuple[int, ...] = field(default=())  # CityObjectLabel

    @property
    def kind(self) -> str:
        """First part of the id: vehicle, walker, sensor, static, traffic, controller or spectator."""
        return self.id.partition(".")[0]

    def record(self, uid: int) -> list:
        """As ActorDefinition."""
        attributes = [
            [a.name, ATTRIBUTE_TYPES[a.type], a.value, list(a.recommended), a.modifiable, False]
            for a in self.attributes
        ]
        return [uid, self.id, self.id.replace(".", ","), attributes]


def _vehicle(name: str, size: tuple[float, float, float], base: str = "car", tag: int = 14) -> Blueprint:
    wheels = "2" if base in ("bicycle", "motorcycle") else "4"
    attributes = (
        Attribute("number_of_wheels", "int", wheels, modifiable=False),
        Attribute("base_type", "str", base, modifiable=False),
        Attribute("generation", "int", "2", modifiable=False),
        Attribute("special_type", "str", "", modifiable=False),
        Attribute("has_lights", "bool", "true", modifiable=False),
        Attribute("sticky_control", "bool", "true"),
        Attribute("terramechanics", "bool", "false"),
        Attribute("color", "color", "60,90,140", ("60,90,140", "150,40,40", "220,220,220")),
        Attribute("role_name", "str", "autopilot", ("autopilot", "scenario", "ego_vehicle", "hero")),
    )
    extent = (size[0] / 2, size[1] / 2, size[2] / 2)
    return Blueprint(f"vehicle.{name}", extent, attributes, tags=(tag,))


def _walker(number: int) -> Blueprint:
    attributes = (
        Attribute("gender", "str", "female", modifiable=False),
        Attribute("age", "str", "adult", modifiable=False),
        Attribute("generation", "int", "2", modifiable=False),
        Attribute("is_invincible", "bool", "true"),
        Attribute("speed", "float", "1.4", ("0.0", "1.4", "2.9")),
        Attribute("role_name", "str", "pedestrian"),
        Attribute("can_use_wheelchair", "bool", "false", modifiable=False),
    )
    return Blueprint(f"walker.pedestrian.{number:04d}", (0.19, 0.19, 0.93), attributes, tags=(12,))


def _sensor(name: str, *attributes: Attribute) -> Blueprint:
    common = (Attribute("role_name", "str", "front", ("front", "back", "left", "right")),)
    return Blueprint(f"sensor.{name}", attributes=(*common, *attributes))


_TICK = Attribute("sensor_tick", "float", "0.0")
_CAMERA = (
    Attribute("image_size_x", "int", "800"),
    Attribute("image_size_y", "int", "600"),
    Attribute("fov", "float", "90.0"),
    _TICK,
)


def _prop(name: str, size: tuple[float, float, float]) -> Blueprint:
    role = Attribute("role_name", "str", "prop")
    return Blueprint(f"static.prop.{name}", (size[0] / 2, size[1] / 2, size[2] / 2), (role,), tags=(20,))


BLUEPRINTS: dict[str, Blueprint] = {
    blueprint.id: blueprint
    for blueprint in (
        _vehicle("tesla.model3", (4.79, 2.16, 1.49)),
        _vehicle("lincoln.mkz_2020", (4.89, 2.14, 1.52)),
        _vehicle("audi.a2", (3.71, 1.79, 1.55)),
        _vehicle("mini.cooper_s_2021", (4.55, 2.10, 1.77)),
        _vehicle("nissan.patrol_2021", (5.57, 2.15, 2.05)),
        _vehicle("mercedes.sprinter", (5.92, 1.99, 2.73), "van", 15),
        _vehicle("mitsubishi.fusorosa", (10.27, 3.94, 4.25), "bus", 16),
        _vehicle("carlamotors.carlacola", (5.20, 2.61, 2.47), "truck", 15),
        _vehicle("yamaha.yzf", (2.21, 0.87, 1.53), "motorcycle", 18),
        _vehicle("diamondback.century", (1.64, 0.46, 1.65), "bicycle", 19),
        *map(_walker, range(1, 6)),
        _prop("trafficcone01", (0.50, 0.50, 0.90)),
        _prop("trafficwarning", (2.90, 2.30, 3.60)),
        _prop("streetbarrier", (1.20, 0.40, 1.00)),
        _prop("container", (3.80, 2.10, 2.00)),
        _sensor("other.collision"),
        _sensor("other.lane_invasion"),
        _sensor("other.gnss", _TICK),
        _sensor("other.imu", _TICK),
        _sensor("camera.rgb", *_CAMERA),
        _sensor("camera.semantic_segmentation", *_CAMERA),
        Blueprint("controller.ai.walker"),
    )
}
# Not for clients to spawn, but an actor all the same.
SPECTATOR = Blueprint("spectator")
# Ids of the blueprints on the wire.
UIDS = {name: uid for uid, name in enumerate([*BLUEPRINTS, SPECTATOR.id], start=1)}


@cache
def traffic(name: str) -> Blueprint:
    """Of a light or a sign of a map, which clients cannot spawn either."""
    UIDS.setdefault(name, len(UIDS) + 1)
    return Blueprint(name, (0.3, 0.3, 2.5), tags=(7 if name.endswith("light") else 8,))
