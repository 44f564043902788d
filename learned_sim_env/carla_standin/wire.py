"""CARLA 0.9.16's records on the wire: replies and msgpack records, stream tokens, headers and snapshots.

Layouts belong to this version alone. All numbers are little-endian; lengths in metres, angles in degrees, left-handed.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

VERSION = "0.9.16"
WORLD_STREAM = 1
# Index of a sensor's type in the header of its data.
COLLISION, DEPTH, GNSS, IMU, OBSTACLE, RADAR, SEMANTIC_LIDAR, LIDAR = 0, 1, 4, 5, 7, 9, 10, 11
RGB, SEMANTIC, INSTANCE, SNAPSHOT = 13, 14, 15, 17
# [m] from the origin to which the world reaches, far beyond Unreal Engine's, and [m/s] at which nothing moves faster.
REACH, FASTEST = 1e6, 1000.0
ATTRIBUTE_TYPES = {"bool": 1, "int": 2, "float": 3, "str": 4, "color": 5}

_HEADER = struct.Struct("<QQd6f")
_TOKEN = struct.Struct("<IHBB16s")
_IMAGE = struct.Struct("<IIf")
_SNAPSHOT = struct.Struct("<Qdf3iI")
_VEHICLE = struct.Struct("<fff???ifB?IB")
_LIGHT = struct.Struct("<32sffffI?B")
_WALKER = struct.Struct("<ffff?")
# One actor of a snapshot: 119 bytes.
ACTOR = np.dtype(
    [
        ("id", "<u4"),
        ("state", "u1"),
        ("transform", "<f4", 6),
        ("velocity", "<f4", 3),
        ("angular_velocity", "<f4", 3),
        ("acceleration", "<f4", 3),
        ("details", "V54"),
    ]
)
assert ACTOR.itemsize == 119
# One point of a semantic lidar: 24 bytes.
SEMANTIC_POINT = np.dtype([("place", "<f4", 3), ("cosine", "<f4"), ("actor", "<u4"), ("tag", "<u4")])
assert SEMANTIC_POINT.itemsize == 24
ACTIVE = 1


class Refused(Exception):
    """What a call cannot do; its text reaches the client as the text of a RuntimeError."""


def good(value: Any) -> list:
    """Reply that carries a value."""
    return [[1, value]]


def done() -> list:
    """Reply of a call that returns nothing."""
    return [[False]]


def failed(message: str, *, nothing: bool) -> list:
    """Reply that carries an error, of a call that would return nothing or a value."""
    return [[True, [message]]] if nothing else [[0, [message]]]


def token(stream: int, port: int) -> bytes:
    """24 bytes that name a stream; without an address the client uses the host that it knows."""
    return _TOKEN.pack(stream, port, 1, 0, bytes(16))


def header(kind: int, frame: int, seconds: float, transform: Sequence[float] = (0.0,) * 6) -> bytes:
    """What every sensor's data begins with; transform: x, y, z, pitch, yaw, roll."""
    return _HEADER.pack(kind, frame, seconds, *transform)


def image(pixels: np.ndarray, fov: float) -> bytes:
    """Body of a camera's frame: pixels (H, W, 4) uint8 BGRA, horizontal field of view [deg]."""
    return _IMAGE.pack(pixels.shape[1], pixels.shape[0], fov) + pixels.tobytes()


def lidar(angle: float, counts: np.ndarray, points: np.ndarray) -> bytes:
    """Body of a lidar's measurement: its angle [rad], how many points each channel has, and these in their order."""
    return struct.pack("<fI", angle, len(counts)) + counts.astype("<u4").tobytes() + points.tobytes()


def snapshot(episode: int, platform: float, delta: float, actors: np.ndarray) -> bytes:
    """Body of a world snapshot; actors: (N,) of `ACTOR`."""
    return _SNAPSHOT.pack(episode, platform, delta, 0, 0, 0, 0) + actors.tobytes()


def vehicle_details(control: Sequence[Any], speed_limit: float, light: tuple[int, int] | None) -> bytes:
    """control: as VehicleControl's record; speed_limit [km/h]; light: state and actor id of the light it stands at."""
    throttle, steer, brake, hand_brake, reverse, manual, gear = control
    state, light_id = light or (2, 0)
    return _VEHICLE.pack(
        throttle, steer, brake, hand_brake, reverse, manual, gear, speed_limit, state, light is not None, light_id, 0
    )


def light_details(
    sign: str, times: tuple[float, float, float], elapsed: float, pole: int, frozen: bool, state: int
) -> bytes:
    """times: seconds of green, yellow and red."""
    return _LIGHT.pack(sign.encode(), *times, elapsed, pole, frozen, state)


def sign_details(sign: str) -> bytes:
    """Of a sign that is no light."""
    return sign.encode()[:32]


def walker_details(direction: Sequence[float], speed: float, jump: bool) -> bytes:
    """direction: x, y, z; speed [m/s]."""
    return _WALKER.pack(*direction, speed, jump)


def transform(values: Sequence[float]) -> list:
    """The record of x, y, z, pitch, yaw, roll."""
    return [[*map(float, values[:3])], [turned(angle) for angle in values[3:]]]


def turned(angle: float) -> float:
    """The same angle [deg] above -180 and up to 180, as Unreal Engine has them."""
    return 180.0 - (180.0 - float(angle)) % 360.0


def flat(record: Sequence[Sequence[float]]) -> list[float]:
    """x, y, z, pitch, yaw, roll of a transform's record."""
    return [*location(record[0]), *map(turned, record[1])]


def location(record: Sequence[float]) -> list[float]:
    """x, y, z [m] of a place's record; `Refused` if it is out of this world."""
    x, y, z = map(float, record)
    if max(abs(x), abs(y), abs(z)) > REACH:
        raise Refused(f"({x:g}, {y:g}, {z:g}) is more than {REACH:g} m from the origin")
    return [x, y, z]


def within(value: float, least: float, most: float) -> float:
    """The nearest number that is not out of bounds."""
    return min(max(float(value), least), most)
