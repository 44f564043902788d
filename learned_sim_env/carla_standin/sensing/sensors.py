"""What sensors send after a step: bodies without the common header."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import cos, radians, sin

import msgpack
import numpy as np

from learned_sim_env.carla_standin import wire
from learned_sim_env.carla_standin.sensing import scanners
from learned_sim_env.carla_standin.sensing.camera import Camera, View
from learned_sim_env.carla_standin.world.actors import Actor
from learned_sim_env.carla_standin.world.world import StandInWorld

# Kinds that have a stream, and the types of their data; None for those that are not simulated and send nothing. A lane
# invasion sensor works in the client alone.
KINDS: dict[str, int | None] = {
    "sensor.other.collision": wire.COLLISION,
    "sensor.other.gnss": wire.GNSS,
    "sensor.other.imu": wire.IMU,
    "sensor.other.obstacle": wire.OBSTACLE,
    "sensor.other.radar": wire.RADAR,
    "sensor.lidar.ray_cast": wire.LIDAR,
    "sensor.lidar.ray_cast_semantic": wire.SEMANTIC_LIDAR,
    "sensor.camera.depth": wire.DEPTH,
    "sensor.camera.rgb": wire.RGB,
    "sensor.camera.semantic_segmentation": wire.SEMANTIC,
    "sensor.camera.instance_segmentation": wire.INSTANCE,
    "sensor.camera.cosmos_visualization": None,
    "sensor.camera.dvs": None,
    "sensor.camera.normals": None,
    "sensor.camera.optical_flow": None,
    "sensor.other.rss": None,
    "sensor.other.v2x": None,
    "sensor.other.v2x_custom": None,
}
# What each kind of camera makes of what it sees.
PICTURES: dict[int, Callable[[View], np.ndarray]] = {
    wire.DEPTH: View.distances,
    wire.RGB: View.colours,
    wire.SEMANTIC: View.semantic,
    wire.INSTANCE: View.instances,
}
SCANS = {wire.LIDAR: scanners.lidar, wire.SEMANTIC_LIDAR: scanners.semantic_lidar, wire.RADAR: scanners.radar}
GRAVITY = 9.81  # [m/s^2]


@dataclass(eq=False)
class Sensor:
    """One sensor and its stream."""

    actor: Actor
    stream: int
    last: float = -1.0  # [s] simulation time of its last data

    @property
    def tick(self) -> float:
        """[s] between its data, 0 for every frame."""
        return float(self.actor.attributes.get("sensor_tick", 0.0))

    def due(self, seconds: float) -> bool:
        """Whether its tick has come."""
        return seconds - self.last >= self.tick - 1e-6


class WorldSensors:
    """All sensors of a world that have a stream."""

    def __init__(self) -> None:
        self._sensors: dict[int, Sensor] = {}
        self._cameras: dict[int, Camera] = {}
        self._last_stream = wire.WORLD_STREAM
        self._reported: set[str] = set()

    def add(self, name: str) -> int:
        """Number of a new stream for a blueprint, 0 if it needs none."""
        if name not in KINDS:
            return 0
        self._last_stream += 1
        return self._last_stream

    def attach(self, actor: Actor, stream: int) -> None:
        """Let a spawned actor send on a stream."""
        self._sensors[stream] = Sensor(actor, stream)
        name = actor.blueprint.id
        if KINDS[name] is None and name not in self._reported:
            self._reported.add(name)
            print(f"carla_standin: {name} is not simulated: it sends nothing", file=sys.stderr)

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

    def data(self, world: StandInWorld, heard: set[int]) -> Iterator[tuple[int, bytes]]:
        """(stream, message) of every sensor that a client listens to and that has new data."""
        for sensor in list(self._sensors.values()):
            kind = KINDS[sensor.actor.blueprint.id]
            if kind is None or sensor.stream not in heard or not sensor.due(world.seconds):
                continue
            for body in self._bodies(sensor, kind, world):
                sensor.last = world.seconds
                head = wire.header(kind, world.frame, world.seconds, sensor.actor.place)
                yield sensor.stream, head + body

    def _bodies(self, sensor: Sensor, kind: int, world: StandInWorld) -> Iterator[bytes]:
        actor = sensor.actor
        if kind == wire.COLLISION:
            yield from _collisions(actor, world)
        elif kind == wire.OBSTACLE:
            yield from scanners.obstacle(actor, world)
        elif kind == wire.GNSS:
            yield msgpack.packb(world.roads.geo(*actor.place[:3]))
        elif kind == wire.IMU:
            yield msgpack.packb(_inertia(actor))
        elif kind in SCANS:
            yield SCANS[kind](actor, world, max(world.delta, sensor.tick))
        elif not world.settings[1]:  # no_rendering_mode
            camera = self._cameras.setdefault(sensor.stream, Camera.of(actor))
            yield wire.image(PICTURES[kind](camera.see(world)), camera.fov)


def _collisions(sensor: Actor, world: StandInWorld) -> Iterator[bytes]:
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
