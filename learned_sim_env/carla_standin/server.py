"""The stand-in's sockets: remote procedures on one port, streams of data on the next, all in one thread."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import msgpack

from learned_sim_env.carla_standin import wire
from learned_sim_env.carla_standin.registry import answer
from learned_sim_env.carla_standin.sensing.sensors import WorldSensors
from learned_sim_env.carla_standin.streams import Streams
from learned_sim_env.carla_standin.wire import Refused
from learned_sim_env.carla_standin.world.roads import Roads
from learned_sim_env.carla_standin.world.world import SETTINGS, StandInWorld

# [s] of a step while no client has chosen one.
FREE_STEP = 0.05
# [s] until a client hears that the first actor after a step is destroyed. It then forgets the actor, and if its
# TrafficManager is at work on that step and has it in hand, the process ends. A real server is that slow by nature.
FAREWELL = 0.05
# Lines of the log that are remembered, so that each is written once; more are not written.
REMEMBERED = 10_000


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


class Log:
    """What a client is not told, on standard error: every line once."""

    def __init__(self) -> None:
        self._written: set[str] = set()

    def note(self, text: str) -> None:
        """Write a line."""
        if text not in self._written and len(self._written) < REMEMBERED:
            self._written.add(text)
            print(f"carla_standin: {text}", file=sys.stderr, flush=True)


class Server:
    """One world and the clients that listen to it.

    maps: name -> function that gives its OpenDRIVE text. Attributes are read by the remote procedures.
    """

    def __init__(
        self, maps: dict[str, Callable[[], str]], town: str, synchronous: bool = False, faults: Faults | None = None
    ):
        self.maps, self.faults = dict(maps), faults or Faults()
        self.world = StandInWorld(Roads(town, self.maps[town]()), synchronous)
        self.sensors = WorldSensors()
        self.log = Log()
        # Of the call that is being answered, and by port: address and connection of the clients' TrafficManagers.
        self.caller: asyncio.StreamWriter | None = None
        self.traffic_managers: dict[int, tuple[list, asyncio.StreamWriter | None]] = {}
        self.port = 0
        self.stream_port = 0
        self.streams = Streams(self._greeting)
        self._steps_owed = 0
        self._farewell = 0.0
        self._ticks = 0
        self._changed = asyncio.Event()

    async def serve(self, host: str, port: int, ready: Callable[[], None]) -> None:
        """Answer until cancelled. port: of the procedures, 0 for any free one; `ready` is called when it listens."""
        procedures = await asyncio.start_server(self._answer, host, port)
        self.port = procedures.sockets[0].getsockname()[1]
        streams = await asyncio.start_server(self.streams.serve, host, self.port + 1 if port else 0)
        self.stream_port = streams.sockets[0].getsockname()[1]
        ready()
        async with procedures, streams:
            await self._run_freely()

    def token(self, stream: int) -> bytes:
        """Where a stream is to be had."""
        return wire.token(stream, self.stream_port)

    def tick(self) -> int:
        """Order a step; the number of the frame that will show it."""
        self._ticks += 1
        if self.faults.die_after and self._ticks > self.faults.die_after:
            os._exit(1)
        if self.world.synchronous:
            self._steps_owed += 1
        return self.world.frame + max(self._steps_owed, 1)

    def set_mode(self, settings: list) -> int:
        """Put settings in force; the number of the frame that the client is to wait for.

        That is the next one where a world ceases to be synchronous in which something has been destroyed since the last
        step: until then a client takes it for alive, and its TrafficManager, set free as well, brings the client down.
        """
        outdated = self.world.synchronous and not settings[0] and self.world.outdated
        self.world.settings = settings
        self._changed.set()
        return self.world.frame + outdated

    def load(self, name: str, reset_settings: bool) -> None:
        """Begin a new episode on a map, by "" the present one; `Refused` if there is none of the name or it is none."""
        name = name or self.world.roads.name
        if name not in self.maps:
            raise Refused(f"map '{name}' not found")
        try:
            roads = Roads(name, self.maps[name]())
        except ValueError as error:
            raise Refused(str(error)) from error
        for stream in self.sensors.clear():
            self.streams.forget(stream)
        self.world.load(roads)
        if reset_settings:
            self.set_mode(list(SETTINGS))

    async def _run_freely(self) -> None:
        """Step by the clock as long as the world is not synchronous."""
        while True:
            self._changed.clear()
            step = self.world.fixed_delta or FREE_STEP
            try:
                await asyncio.wait_for(self._changed.wait(), None if self.world.synchronous else step)
            except asyncio.TimeoutError:
                self._step(step)

    def _step(self, delta: float) -> None:
        self.world.step(delta)
        self._farewell = 0.0
        heard = self.streams.heard()
        if wire.WORLD_STREAM in heard:
            self.streams.send(wire.WORLD_STREAM, self._snapshot())
        if self.faults.silent_sensors:
            return
        for stream, message in self.sensors.data(self.world, heard):
            if self.faults.sensor_delay:
                asyncio.get_running_loop().call_later(self.faults.sensor_delay, self.streams.send, stream, message)
            else:
                self.streams.send(stream, message)

    def _snapshot(self) -> bytes:
        return wire.header(wire.SNAPSHOT, self.world.frame, self.world.seconds) + self.world.snapshot()

    def _greeting(self, stream: int) -> list[bytes]:
        """The world as it is, which its new readers know nothing of."""
        return [self._snapshot()] if stream == wire.WORLD_STREAM and self.world.frame else []

    async def _answer(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Serve one client."""
        unpacker = msgpack.Unpacker(strict_map_key=False, unicode_errors="surrogateescape")
        try:
            while data := await source.read(1 << 16):
                unpacker.feed(data)
                for request in unpacker:
                    await self._perform(request, sink)
        except ConnectionError:
            pass
        except (ValueError, TypeError) as error:
            self.log.note(f"a client that does not speak CARLA's protocol is cut off: {error}")
        finally:
            # With a client its managers end, and no client should look for them any more.
            self.traffic_managers = {
                port: (where, owner) for port, (where, owner) in self.traffic_managers.items() if owner is not sink
            }
            sink.close()

    async def _perform(self, request: list, sink: asyncio.StreamWriter) -> None:
        _, number, name, parameters = request
        (silent, *_), *arguments = parameters
        if self.faults.hang_after and self._ticks >= self.faults.hang_after:
            await asyncio.Event().wait()
        if self.faults.reply_delay:
            await asyncio.sleep(self.faults.reply_delay)
        self.caller = sink
        try:
            reply = [1, number, None, answer(self, name, arguments, silent)]
        except Exception as error:  # as `answer` says, where the reply has no form of its own for an error
            traceback.print_exc()
            reply = [1, number, f"{name}: {error}", None]
        if name == "destroy_actor" and self.traffic_managers and not silent:
            # The answer alone waits: the manager must be served meanwhile.
            self._farewell = self._farewell or time.monotonic() + FAREWELL
            wait = max(self._farewell - time.monotonic(), 0.0)
            asyncio.get_running_loop().call_later(wait, sink.write, msgpack.packb(reply))
        elif not silent:
            sink.write(msgpack.packb(reply))
            await sink.drain()
        # The answer goes out before the step that it announces, as the simulator's does.
        while self._steps_owed:
            self._steps_owed -= 1
            self._step(self.world.fixed_delta or FREE_STEP)


def serve(server: Server, host: str, port: int, ready: Callable[[], None]) -> None:
    """Run a server until it is interrupted."""
    asyncio.run(server.serve(host, port, ready))
