"""What sensors send after a step: bodies without the common header."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, radians, sin

import msgpack

from learned_sim_env.carla_standin import wire
from learned_sim_env.carla_standin.actors import Actor
from learned_sim_env.carla_standin.camera import Camera, palette_colours
from learned_sim_env.carla_standin.world import World

# Kinds that have a stream; a lane invasion sensor works in the client alone.
KINDS = {
    "sensor.other.collision": wire.COLLISION,
    "sensor.other.gnss": wire.GNSS,
    "sensor.other.imu": wire.IMU,
    "sensor.camera.rgb": wire.RGB,
    "sensor.camera.semantic_segmentation": wire.SEMANTIC,
}
CAMERAS = (wire.RGB, wire.SEMANTIC)
GRAVITY = 9.81  # [m/s^2]


@dataclass(eq=False)
class Sensor:
    """One sensor and its stream."""

    actor: Actor
    stream: int
    last: float = -1.0  # [s] simulation time of its last data

    @property
    def kind(self) -> int:
        """Index of its type on the wire."""
        return KINDS[self.actor.blueprint.id]

    def due(self, seconds: float) -> bool:
        """Whether its tick has come."""
        return seconds - self.last >= float(self.actor.attributes.get("sensor_tick", 0.0)) - 1e-6


class Sensors:
    """All sensors of a world that have a stream."""

    def __init__(self) -> None:
        self._sensors: dict[int, Sensor] = {}
        self._cameras: dict[int, Camera] = {}
        self._last_stream = wire.WORLD_STREAM

    def add(self, name: str) -> int:
        """Number of a new stream for a blueprint, 0 if it needs none."""
        if name not in KINDS:
            return 0
        self._last_stream += 1
        return self._last_stream

    def attach(self, actor: Actor, stream: int) -> None:
        """Let a spawned actor send on a stream."""
        self._sensors[stream] = Sensor(actor, stream)

    def forget(self, actor_id: int) -> list[int]:
        """Drop what belongs to an actor that is gone; the streams that it had."""
        gone = [stream for stream, sensor in self._sensors.items() if sensor.actor.id == actor_id]
        for stream in gone:
            del self._sensors[stream]
            self._cameras.pop(stream, None)
        return gone

    def clear(self) -> list[int]:
        """Drop all; the streams that they had."""
        streams = list(self._sensors)
        self._sensors.clear()
        self._cameras.clear()
        return streams

    def data(self, world: World, heard: set[int]) -> Iterator[tuple[int, bytes]]:
        """(stream, message) of every sensor that somebody hears and that has something to say."""
        for sensor in list(self._sensors.values()):
            if sensor.stream not in heard or not sensor.due(world.seconds):
                continue
            for body in self._bodies(sensor, world):
                sensor.last = world.seconds
                head = wire.header(sensor.kind, world.frame, world.seconds, sensor.actor.place)
                yield sensor.stream, head + body

    def _bodies(self, sensor: Sensor, world: World) -> Iterator[bytes]:
        actor = sensor.actor
        if sensor.kind == wire.COLLISION:
            yield from _collisions(actor, world)
        elif sensor.kind == wire.GNSS:
            yield msgpack.packb(world.roads.geo(*actor.place[:3]))
        elif sensor.kind == wire.IMU:
            yield msgpack.packb(_inertia(actor))
        elif not world.settings[1]:  # no_rendering_mode
            camera = self._cameras.setdefault(sensor.stream, Camera.of(actor))
            tags = camera.see(world)
            yield wire.image(tags if sensor.kind == wire.SEMANTIC else palette_colours(tags), camera.fov)


def _collisions(sensor: Actor, world: World) -> Iterator[bytes]:
    for collision in world.collisions:
        for one, other, sign in ((collision.actor, collision.other, 1.0), (collision.other, collision.actor, -1.0)):
            if one is sensor.parent:
                impulse = [sign * v for v in collision.impulse]
                yield msgpack.packb([one.record(), other.record(), impulse])


def _inertia(actor: Actor) -> list:
    """Acceleration in the sensor's frame [m/s^2], rates [rad/s], compass [rad from north, which is -y]."""
    yaw = radians(actor.place[4])
    ax, ay, az = actor.acceleration
    along, across = ax * cos(yaw) + ay * sin(yaw), -ax * sin(yaw) + ay * cos(yaw)
    return [[along, across, az + GRAVITY], [0.0, 0.0, radians(actor.yaw_rate)], (yaw + radians(90.0)) % radians(360.0)]
