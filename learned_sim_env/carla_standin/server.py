"""The stand-in's sockets: remote procedures on one port, streams of data on the next, all in one thread."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
import msgpack

from learned_sim_env.carla_standin import actor_calls, wire
from learned_sim_env.carla_standin.calls import CALLS
from learned_sim_env.carla_standin.roads import Roads
from learned_sim_env.carla_standin.sensors import Sensors
from learned_sim_env.carla_standin.wire import Refused
from learned_sim_env.carla_standin.world import World

assert actor_calls  # registers its procedures
# [s] of a step while nobody has chosen one.
FREE_STEP = 0.05
# [bytes] that may wait for a reader of a stream before it is cut off.
BACKLOG = 1 << 26


@dataclass(frozen=True)
class Faults:
    """What goes wrong on purpose, to see how a client takes it.

    version: that it claims to be. refuse_spawns: ids of blueprints that begin so are never spawned. reply_delay: [s]
    before every answer. sensor_delay: [s] that sensors' data comes late. silent_sensors: no sensor sends anything.
    hang_after, die_after: ticks after which it answers no more, or ends at once (0: never).
    """

    version: str = wire.VERSION
    refuse_spawns: str = ""
    reply_delay: float = 0.0
    sensor_delay: float = 0.0
    silent_sensors: bool = False
    hang_after: int = 0
    die_after: int = 0


class Server:
    """One world and who listens to it.

    maps: name -> function that gives its OpenDRIVE text. Attributes are read by the remote procedures.
    """

    def __init__(
        self, maps: dict[str, Callable[[], str]], town: str, synchronous: bool = False, faults: Faults | None = None
    ):
        self.maps, self.faults = dict(maps), faults or Faults()
        self.world = World(Roads(town, self.maps[town]()), synchronous)
        self.sensors = Sensors()
        self.traffic_managers: dict[int, list] = {}
        self.port = 0
        self.stream_port = 0
        self._readers: dict[int, set[asyncio.StreamWriter]] = {}
        self._steps_owed = 0
        self._ticks = 0
        self._changed = asyncio.Event()
        self._connections: set[asyncio.StreamWriter] = set()

    async def serve(server: Server, host: str, port: int, ready: Callable[[], None]) -> None:
    """Run a server until it is interrupted."""
    asyncio.run(server.serve(host, port, ready))
