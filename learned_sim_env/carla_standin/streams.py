"""The stand-in's streams of data: which of them have readers, and messages on their way to them."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field

# [bytes] that may wait for a reader before it is cut off, and [s] to wait for one that asked for a stream.
BACKLOG, PATIENCE = 1 << 26, 10.0


@dataclass(eq=False)
class _Expected:
    """A reader that has asked for a stream and is not connected yet, and what it would have received."""

    asked: float = field(default_factory=time.monotonic)
    messages: list[bytes] = field(default_factory=list)
    size: int = 0

    @property
    def stale(self) -> bool:
        return self.size > BACKLOG or time.monotonic() - self.asked > PATIENCE


class Streams:
    """Readers of all streams. A reader has every message since it *asked* for the stream.

    A client asks first and connects in the background: by then the step may be done that it wants to see.

    greeting: messages with which a reader of a stream begins that has missed none.
    """

    def __init__(self, greeting: Callable[[int], list[bytes]]):
        self._greeting = greeting
        self._readers: dict[int, set[asyncio.StreamWriter]] = {}
        self._expected: dict[int, list[_Expected]] = {}

    def expect(self, stream: int) -> None:
        """A client has asked where to connect for a stream."""
        self._expected.setdefault(stream, []).append(_Expected())

    def heard(self) -> set[int]:
        """Streams that have a reader, or will have one."""
        for stream, expected in list(self._expected.items()):
            expected[:] = [one for one in expected if not one.stale]
            if not expected:
                del self._expected[stream]
        return {*self._readers, *self._expected}

    def forget(self, stream: int) -> None:
        """A stream has come to its end: no more clients are expected."""
        self._expected.pop(stream, None)

    def send(self, stream: int, message: bytes) -> None:
        """Send to all readers of a stream."""
        for expected in self._expected.get(stream, ()):
            expected.messages.append(message)
            expected.size += len(message)
        for reader in list(self._readers.get(stream, ())):
            if reader.transport.get_write_buffer_size() > BACKLOG:
                reader.transport.abort()
            else:
                _write(reader, message)

    async def serve(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Let one reader have one stream until it hangs up."""
        stream = None
        try:
            (stream,) = struct.unpack("<I", await source.readexactly(4))
            expected = self._expected.get(stream)
            missed = expected.pop(0).messages if expected else []
            for message in missed or self._greeting(stream):
                _write(sink, message)
            self._readers.setdefault(stream, set()).add(sink)
            await source.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            readers = self._readers.get(stream, set()) if stream is not None else set()
            readers.discard(sink)
            if stream is not None and not readers:
                self._readers.pop(stream, None)
            sink.close()


def _write(sink: asyncio.StreamWriter, message: bytes) -> None:
    sink.write(struct.pack("<I", len(message)) + message)
