"""CARLA's TrafficManager: opened for one client alone, and woken when it sleeps through a step."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from learned_sim_env.optional import require
from learned_sim_env.scene import SimulatorError

# Ports that are tried.
ATTEMPTS = 5


def open_manager(client: Any) -> Any:
    """A synchronous TrafficManager at a free port.

    Raises:
        SimulatorError: if none starts.
    """
    for _ in range(ATTEMPTS):
        with socket.socket() as probe:
            probe.bind(("", 0))
            port = probe.getsockname()[1]
        try:
            manager = client.get_trafficmanager(port)
        except RuntimeError as error:
            reason = error
            continue
        manager.set_synchronous_mode(True)
        manager.set_global_distance_to_leading_vehicle(2.0)
        return manager
    raise SimulatorError(f"CARLA's TrafficManager does not start: {reason}") from reason


@contextmanager
def awake(port: int, world: Any, patience: float) -> Iterator[None]:
    """Wake the manager at `port` if it sleeps through the tick of `world` within for longer than `patience` [s].

    The two threads of `TrafficManagerLocal::SynchronousTick` signal each other without holding the lock that they wait
    with, so that a signal may come just before the other begins to wait: once in some thousand ticks on a busy machine.
    Both then wait for ever, whatever the client's timeout.
    """
    before = world.get_snapshot().frame

    def wake() -> None:
        # Without a new frame it is the server that is late.
        if world.get_snapshot().frame != before:
            repeat_signal(port)

    timer = threading.Timer(patience, wake)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def repeat_signal(port: int) -> None:
    """Let the manager at `port` leave the synchronous mode, which signals its thread, and be back before it looks.

    By the manager's own remote procedures: while the tick waits, CARLA's client holds the lock of its methods.
    """
    msgpack = require("msgpack", extra="carla")
    calls = [[0, i, "set_synchronous_mode", [on]] for i, on in enumerate((False, True))]
    # If the manager has gone in the meantime, there is no thread to wake.
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0) as manager:
        manager.sendall(b"".join(map(msgpack.packb, calls)))
        manager.recv(1024)
