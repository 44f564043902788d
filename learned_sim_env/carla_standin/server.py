"""The stand-in's sockets: remote procedures on one port, streams of data on the next, all in one thread."""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import msgpack

from learned_sim_env.carla_standin import wire
from learned_sim_env.carla_standin.registry import CALLS
from learned_sim_env.carla_standin.roads import Roads
from learned_sim_env.carla_standin.sensors import Sensors
from learned_sim_env.carla_standin.wire import Refused
from learned_sim_env.carla_standin.world import World

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

    async def serve(self, host: str, port: int, ready: Callable[[], None]) -> None:
        """Answer until cancelled. port: of the procedures, 0 for any free one; `ready` is called when it listens."""
        procedures = await asyncio.start_server(self._answer, host, port)
        self.port = procedures.sockets[0].getsockname()[1]
        streams = await asyncio.start_server(self._stream, host, self.port + 1 if port else 0)
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

    def mode_changed(self) -> None:
        """Settings are others now."""
        self._changed.set()

    def load(self, name: str, reset_settings: bool) -> None:
        """Begin a new episode on a map; `Refused` if there is no such map or it is none."""
        if name not in self.maps:
            raise Refused(f"map '{name}' not found")
        try:
            roads = Roads(name, self.maps[name]())
        except ValueError as error:
            raise Refused(str(error)) from error
        self.world.load(roads, keep_settings=not reset_settings)
        self.sensors.clear()
        self.mode_changed()

    async def _run_freely(self) -> None:
        """Step by the clock as long as the world is not synchronous."""
        while True:
            self._changed.clear()
            chosen, step = (*self.world.settings[2], 0.0)[:2]
            step = step if chosen and step else FREE_STEP
            try:
                await asyncio.wait_for(self._changed.wait(), None if self.world.synchronous else step)
            except asyncio.TimeoutError:
                self._step(step)

    def _step(self, delta: float) -> None:
        self.world.step(delta)
        heard = {stream for stream, readers in self._readers.items() if readers}
        if wire.WORLD_STREAM in heard:
            self._send(wire.WORLD_STREAM, self._snapshot())
        if self.faults.silent_sensors:
            return
        for stream, message in self.sensors.data(self.world, heard):
            if self.faults.sensor_delay:
                asyncio.get_running_loop().call_later(self.faults.sensor_delay, self._send, stream, message)
            else:
                self._send(stream, message)

    def _snapshot(self) -> bytes:
        return wire.header(wire.SNAPSHOT, self.world.frame, self.world.seconds) + self.world.snapshot()

    def _send(self, stream: int, message: bytes) -> None:
        for reader in list(self._readers.get(stream, ())):
            self._send_to(reader, message)

    def _send_to(self, reader: asyncio.StreamWriter, message: bytes) -> None:
        if reader.transport.get_write_buffer_size() > BACKLOG:
            reader.transport.abort()
        else:
            reader.write(struct.pack("<I", len(message)) + message)

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
            print(f"carla_standin: a client that does not speak CARLA's protocol is cut off: {error}", file=sys.stderr)
        finally:
            sink.close()

    async def _perform(self, request: list, sink: asyncio.StreamWriter) -> None:
        _, number, name, parameters = request
        (silent, *_), *arguments = parameters
        if self.faults.hang_after and self._ticks >= self.faults.hang_after:
            await asyncio.Event().wait()
        if self.faults.reply_delay:
            await asyncio.sleep(self.faults.reply_delay)
        if name not in CALLS:
            reply = [1, number, f"{name}: not a procedure of the stand-in", None]
        else:
            try:
                reply = [1, number, None, CALLS[name].reply(self, arguments)]
            except Exception as error:  # a defect, or arguments of another version: the client is told, others go on
                traceback.print_exc()
                reply = [1, number, f"{name}: {error}", None]
        if not silent:
            sink.write(msgpack.packb(reply))
            await sink.drain()
        # The answer goes out before the step that it announces, as the simulator's does.
        while self._steps_owed:
            self._steps_owed -= 1
            chosen, step = (*self.world.settings[2], 0.0)[:2]
            self._step(step if chosen and step else FREE_STEP)

    async def _stream(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Let one reader have one stream until it hangs up."""
        stream = None
        try:
            (stream,) = struct.unpack("<I", await source.readexactly(4))
            self._readers.setdefault(stream, set()).add(sink)
            if stream == wire.WORLD_STREAM and self.world.frame:
                # A client that ticks at once may be faster than its own subscription, and would wait for ever.
                self._send_to(sink, self._snapshot())
            await source.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            readers = self._readers.get(stream, set()) if stream is not None else set()
            readers.discard(sink)
            if stream is not None and not readers:
                self._readers.pop(stream, None)
            sink.close()


def serve(server: Server, host: str, port: int, ready: Callable[[], None]) -> None:
    """Run a server until it is interrupted."""
    asyncio.run(server.serve(host, port, ready))
