"""Actors of the stand-in's world, in CARLA's frame: x forward at yaw 0, y right, z up, degrees."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import cos, radians, sin
from typing import Any

from learned_sim_env.carla_standin import wire
from learned_sim_env.carla_standin.blueprints import UIDS, Blueprint
from learned_sim_env.carla_standin.world.signs import Signal

# VehicleControl at rest: throttle, steer, brake, hand brake, reverse, manual gear shift, gear.
AT_REST = (0.0, 0.0, 0.0, False, False, False, 0)


@dataclass(eq=False)
class Actor:
    """place: [x, y, z, pitch, yaw, roll]; velocity [m/s], yaw_rate [deg/s], acceleration [m/s^2] in the world frame."""

    id: int
    blueprint: Blueprint
    place: list[float]
    attributes: dict[str, str] = field(default_factory=dict)
    parent: Actor | None = None
    offset: list[float] = field(default_factory=lambda: [0.0] * 6)  # of one that is fixed to its parent
    stream: bytes = b""
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    yaw_rate: float = 0.0
    acceleration: tuple[float, float, float] = (0.0, 0.0, 0.0)
    forward_speed: float = 0.0  # [m/s] along its heading, negative backwards
    wheel: float = 0.0  # [rad] of the front wheels, right positive
    control: tuple[Any, ...] = AT_REST
    steered: bool = False  # controlled anew since the last step
    physics: list | None = None  # VehiclePhysicsControl's record, once one has been applied
    hold: float | None = None  # [m/s] forward, whatever the controls say
    walk: tuple[tuple[float, float, float], float, bool] = ((1.0, 0.0, 0.0), 0.0, False)
    still: bool = False  # physics switched off
    collides: bool = True
    lights: int = 0  # bits of VehicleLightState
    steps: int = 0  # since it was spawned
    age: float = 0.0  # [s]
    signal: Signal | None = None  # what a light or a sign is on the map

    @property
    def kind(self) -> str:
        """See `Blueprint.kind`."""
        return self.blueprint.kind

    @property
    def solid(self) -> bool:
        """Whether others can run into it."""
        return self.collides and self.blueprint.solid

    @property
    def sticky(self) -> bool:
        """Whether a control holds until there is another one, and not for one step alone."""
        return self.attributes.get("sticky_control", "true").lower() != "false"

    def steer(self, control: tuple[Any, ...]) -> None:
        """Give it a control, sound already."""
        self.control, self.steered = control, True

    @property
    def rise(self) -> float:
        """[m] from its origin up to the middle of its box: a walker's origin is there, as CARLA's is."""
        return 0.0 if self.kind == "walker" else self.blueprint.extent[2]

    def bounding_box(self) -> list:
        """The record of its box in its own frame, which stands on the ground; of a light or sign its trigger volume."""
        if self.signal is not None:
            return [*(self.signal.volume or ([0.0] * 3, [0.0] * 3)), [0.0, 0.0, 0.0], self.id]
        return [[0.0, 0.0, self.rise], [*self.blueprint.extent], [0.0, 0.0, 0.0], self.id]

    def record(self) -> list:
        """As Actor."""
        types = {a.name: a.type for a in self.blueprint.attributes}
        attributes = [[k, wire.ATTRIBUTE_TYPES[types.get(k, "str")], v] for k, v in self.attributes.items()]
        description = [UIDS[self.blueprint.id], self.blueprint.id, attributes]
        parent = self.parent.id if self.parent else 0
        return [self.id, parent, description, self.bounding_box(), bytes(self.blueprint.tags), self.stream]

    def follow_parent(self) -> None:
        """Stand where the parent takes it; roll and pitch are the offset's own."""
        if self.parent is None:
            return
        x, y, z, _, yaw, _ = self.parent.place
        c, s = cos(radians(yaw)), sin(radians(yaw))
        dx, dy, dz, pitch, turn, roll = self.offset
        self.place = [x + dx * c - dy * s, y + dx * s + dy * c, z + dz, pitch, yaw + turn, roll]
        self.velocity = self.parent.velocity
        self.yaw_rate, self.acceleration = self.parent.yaw_rate, self.parent.acceleration
