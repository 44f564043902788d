"""Sensors that send rays out: lidars, radar and the obstacle detector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil, pi, radians
from typing import Any

import msgpack
import numpy as np

from learned_sim_env.carla_standin import wire
from learned_sim_env.carla_standin.sensing.camera import ground, ground_tags
from learned_sim_env.carla_standin.sensing.rays import GROUND, NOTHING, Hits, axes_of, cast
from learned_sim_env.carla_standin.world.actors import Actor

# Most rays of one measurement, and nearest [m] that a radar or an obstacle detector tells of.
MOST_RAYS = 1_000_000


def lidar(sensor: Actor, world: Any, seconds: float) -> bytes:
    """What a turning lidar has met in the last `seconds`: points in its own frame, and how much light came back.

    As CARLA's, it loses some points by chance: the same ones for the same `noise_seed` and number of steps.
    """
    get, rng = _numbers(sensor), _random(sensor)
    hits, rays, channels, angle = _sweep(sensor, world, seconds)
    intensity = np.exp(-get("atmosphere_attenuation_rate", 0.004) * hits.distance)
    most, zero = get("dropoff_intensity_limit", 0.8), get("dropoff_zero_intensity", 0.4)
    kept = hits.index != NOTHING
    kept &= rng.random(len(kept)) >= get("dropoff_general_rate", 0.45)
    # The weaker the light, the more often a point is lost.
    kept &= (intensity > most) | (rng.random(len(kept)) < zero / max(most, 1e-9) * intensity + 1.0 - zero)
    distance = hits.distance[kept] + get("noise_stddev", 0.0) * rng.standard_normal(int(kept.sum()))
    points = np.column_stack([rays[kept] * distance[:, None], intensity[kept]])
    return wire.lidar(angle, _counts(kept, channels), points.astype("<f4"))


def semantic_lidar(sensor: Actor, world: Any, seconds: float) -> bytes:
    """Every point that a turning lidar has met: cosine of the angle it was met at, actor that it is of, and tag."""
    hits, rays, channels, angle = _sweep(sensor, world, seconds)
    kept = hits.index != NOTHING
    points = np.zeros(int(kept.sum()), wire.SEMANTIC_POINT)
    points["place"] = rays[kept] * hits.distance[kept][:, None]
    points["cosine"] = hits.cosine[kept]
    actors, index = _seen_by(sensor, world), hits.index[kept]
    on_actor = index >= 0
    points["actor"][on_actor] = np.array([a.id for a in actors] or [0])[index[on_actor]]
    points["tag"][on_actor] = np.array([a.blueprint.tags[0] for a in actors] or [0])[index[on_actor]]
    on_ground = index == GROUND
    spots = np.array(sensor.place[:3]) + points["place"][on_ground] @ axes_of(*np.radians(sensor.place[3:]))
    points["tag"][on_ground] = ground_tags(*ground(world.roads), spots[:, :2])
    return wire.lidar(angle, _counts(kept, channels), points)


def radar(sensor: Actor, world: Any, seconds: float) -> bytes:
    """Records of speed away from the radar [m/s], azimuth and altitude [rad], and distance [m], of rays by chance."""
    get, rng = _numbers(sensor), _random(sensor)
    count = min(ceil(get("points_per_second", 1500.0) * seconds), MOST_RAYS)
    radius, turn = np.sqrt(rng.random(count)), 2.0 * pi * rng.random(count)
    azimuth = radians(get("horizontal_fov", 30.0)) / 2.0 * radius * np.cos(turn)
    altitude = radians(get("vertical_fov", 30.0)) / 2.0 * radius * np.sin(turn)
    actors, axes = _seen_by(sensor, world), axes_of(*np.radians(sensor.place[3:]))
    rays = _rays(azimuth, altitude) @ axes
    hits = cast(np.array(sensor.place[:3]), rays, actors, get("range", 100.0))
    kept = hits.index != NOTHING
    # The ground, last, stands still.
    velocities = np.array([*(a.velocity for a in actors), (0.0, 0.0, 0.0)])[hits.index[kept]]
    away = ((velocities - np.array(sensor.velocity)) * rays[kept]).sum(-1)
    return np.column_stack([away, azimuth[kept], altitude[kept], hits.distance[kept]]).astype("<f4").tobytes()


def obstacle(sensor: Actor, world: Any) -> Iterator[bytes]:
    """The nearest actor straight ahead, if there is one within the distance that the sensor's attributes say."""
    get, moving = _numbers(sensor), sensor.attributes.get("only_dynamics", "false").lower() == "true"
    actors = [a for a in _seen_by(sensor, world) if not moving or a.kind in ("vehicle", "walker")]
    ahead = axes_of(*np.radians(sensor.place[3:]))[:1]
    radius = get("hit_radius", 0.5)
    hits = cast(np.array(sensor.place[:3]), ahead, actors, get("distance", 5.0), grown=radius)
    if hits.index[0] >= 0:
        owner = sensor.parent or sensor
        yield msgpack.packb([owner.record(), actors[hits.index[0]].record(), float(hits.distance[0])])


def _sweep(sensor: Actor, world: Any, seconds: float) -> tuple[Hits, np.ndarray, int, float]:
    """What a turning lidar meets, its rays (R, 3) in its own frame by channel, its channels, and its angle [rad]."""
    get = _numbers(sensor)
    channels = max(1, int(get("channels", 32)))
    each = min(round(get("points_per_second", 56000.0) * seconds / channels), MOST_RAYS // channels)
    field, frequency = get("horizontal_fov", 360.0), get("rotation_frequency", 10.0)
    upper, lower = radians(get("upper_fov", 10.0)), radians(get("lower_fov", -30.0))
    # It begins ahead when it is spawned: a scene that is repeated is measured alike, whenever that is.
    begin = frequency * field * (sensor.age - seconds) % field
    turned = (begin + frequency * field * seconds * np.arange(each) / max(each, 1)) % field - field / 2.0
    altitude = np.linspace(upper, lower, channels) if channels > 1 else np.array([(upper + lower) / 2.0])
    rays = _rays(np.tile(np.radians(turned), channels), np.repeat(altitude, each))
    axes = axes_of(*np.radians(sensor.place[3:]))
    hits = cast(np.array(sensor.place[:3]), rays @ axes, _seen_by(sensor, world), get("range", 10.0))
    return hits, rays, channels, radians(begin)


def _rays(azimuth: np.ndarray, altitude: np.ndarray) -> np.ndarray:
    """(R, 3) of length 1: forward, right, up."""
    return np.column_stack([np.cos(altitude) * np.cos(azimuth), np.cos(altitude) * np.sin(azimuth), np.sin(altitude)])


def _counts(kept: np.ndarray, channels: int) -> np.ndarray:
    return kept.reshape(channels, -1).sum(-1)


def _seen_by(sensor: Actor, world: Any) -> list[Actor]:
    """All that is solid but what carries the sensor: its box is wider than its body."""
    return [a for a in world.actors.values() if a.solid and a is not sensor.parent]


def _random(sensor: Actor) -> np.random.Generator:
    return np.random.default_rng([abs(int(_numbers(sensor)("noise_seed", 0.0))), sensor.steps])


def _numbers(sensor: Actor) -> Callable[[str, float], float]:
    return lambda name, default: float(sensor.attributes.get(name, str(default)))
