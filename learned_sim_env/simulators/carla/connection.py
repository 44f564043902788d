"""A CARLA server, found, checked, brought to a map and a clock, and put back as it was."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from learned_sim_env.optional import require
from learned_sim_env.scene import SimulatorError
from learned_sim_env.simulators.carla import frames
from learned_sim_env.simulators.carla.manager import awake, open_manager
from learned_sim_env.simulators.carla.roads import RoadNetwork
from learned_sim_env.spec import unknown

# How the role name of every actor that an environment spawns begins; then come host and process of its owner.
ROLE = "learned_sim_env"
# [s] between attempts to connect, doubled each time up to the second one.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
# [s] for which a synchronous server is watched for another client's ticks.
LISTENING = 0.3
# [s] that a server which failed gets for putting it back.
LAST_WILL = 1.0
# Physics: sub-steps of at most so many seconds.
SUBSTEP = 0.01
# [m] Parameters of the road that CARLA builds from an OpenDRIVE file.
OPENDRIVE = {"vertex_distance": 2.0, "max_road_length": 500.0, "wall_height": 0.0, "additional_width": 0.6}


@dataclass(frozen=True)
class Address:
    """Where the server is, how long to wait for an answer, and for a map [s], and whether to take it from another."""

    host: str = "127.0.0.1"
    port: int = 2000
    timeout: float = 10.0
    load_timeout: float = 60.0
    take_over: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.port < 65535:
            raise ValueError(f"port is {self.port}; CARLA's is 1 to 65534, and the one after it is for its data")
        for name in ("timeout", "load_timeout"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be more than 0 seconds")

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def role() -> str:
    """Role name of what this process spawns: another client that finds it knows that the server is taken."""
    return f"{ROLE}@{socket.gethostname()}@{os.getpid()}"


def alive(role_name: str) -> bool:
    """Whether the owner that a role name tells of may be running; one on another host may always."""
    _, host, process = role_name.split("@")
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Connection:
    """A server in synchronous mode, ours until `close`.

    Attributes:
        client, world, map: CARLA's own. network: the map's lanes. manager: CARLA's TrafficManager, None before it is
            opened.

    Raises:
        SimulatorError: without a server, without an answer, with a server of another version or in another's use.
        ValueError: if its map has no lane to drive on.
    """

    def __init__(self, address: Address, dt: float, rendering: bool):
        self.carla = require("carla", extra="carla")
        self.address = address
        self.manager: Any = None
        self._frame: int | None = None
        self._networks: dict[str, RoadNetwork] = {}
        _wait_for_port(address)
        # More threads than sensors: one that waits for Python's lock must not keep snapshots from being read.
        self.client = self.carla.Client(address.host, address.port, worker_threads=16)
        self.client.set_timeout(address.timeout)
        self._check_version()
        self.world = self.ask(self.client.get_world)
        self._check_free()
        self._weather = self.world.get_weather()
        try:
            self._set_clock(dt, rendering)
            self._read_map()
        except BaseException:
            self.close()
            raise

    def ask(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Result of a call of CARLA's client; its failure as `SimulatorError`."""
        try:
            return call(*arguments)
        except RuntimeError as error:
            raise SimulatorError(
                f"the CARLA server at {self.address} failed in {call.__name__}: {error}. "
                "Reset the environment to connect again"
            ) from error

    def tick(self) -> Any:
        """Let one clock step pass; the snapshot of the world after it.

        Raises:
            SimulatorError: if the server fails, or another client lets time pass as well.
        """
        patience = self.address.timeout / 2
        with nullcontext() if self.manager is None else awake(self.manager.get_port(), self.world, patience):
            frame = self.ask(self.world.tick, self.address.timeout)
        snapshot = self.world.get_snapshot()
        expected = frame if self._frame is None else self._frame + 1
        if not frame == snapshot.frame == expected:
            raise SimulatorError(
                f"the CARLA server at {self.address} came to frame {snapshot.frame} where {expected} was expected: "
                "another client ticks it"
            )
        self._frame = frame
        return snapshot

    def ground(self, x: float, y: float, heading: float, above: float) -> Any:
        """`carla.Transform` of a pose of the contract, `above` the road there [m]."""
        transform = frames.transform(self.carla, x, y, heading, 0.0)
        road = self.map.get_waypoint(transform.location)
        transform.location.z = above if road is None else road.transform.location.z + above
        return transform

    def open_manager(self) -> None:
        """Have a TrafficManager that knows this world, unless there is one.

        Raises:
            SimulatorError: if none starts.
        """
        if self.manager is None:
            self.manager = open_manager(self.client)

    def end_manager(self) -> None:
        """Have none. It ends before its vehicles do: their absence would bring it down, and the process."""
        if self.manager is not None:
            manager, self.manager = self.manager, None
            manager.shut_down()

    def close(self, patience: float | None = None) -> None:
        """Put settings and weather back; `patience` [s], if given, is all that each call to the server gets."""
        if patience is not None:
            self.client.set_timeout(patience)
        try:
            self.world.set_weather(self._weather)
            # Not world.apply_settings, which waits for a step that an asynchronous server may take its time for.
            self.world.apply_settings(self._found, patience or self.address.timeout)
        except RuntimeError:
            if patience is None:
                raise

    def _check_version(self) -> None:
        # Its layouts differ from version to version: what comes next could bring the interpreter down.
        try:
            server = self.client.get_server_version()
        except RuntimeError as error:
            raise SimulatorError(
                f"something listens at {self.address} but does not answer as a CARLA server within "
                f"{self.address.timeout:g} s ({error}): restart it"
            ) from error
        ours = self.client.get_client_version()
        if server != ours:
            raise SimulatorError(
                f"the server at {self.address} is CARLA {server} and the installed client is {ours}: "
                f"run a server of version {ours}, or install the client of version {server}"
            )

    def _check_free(self) -> None:
        """Refuse a server that another client drives; remove what a dead environment has left there."""
        self._found = self.world.get_settings()
        if self._found.synchronous_mode:
            if not self.address.take_over:
                # The first snapshot, which may be an old one, takes its time as well.
                time.sleep(LISTENING)
                before = self.world.get_snapshot().frame
                time.sleep(LISTENING)
                if self.world.get_snapshot().frame != before:
                    raise SimulatorError(
                        f"the CARLA server at {self.address} is in synchronous mode and another client ticks it: stop "
                        "that client, or give this environment a server of its own (port=...)"
                    )
            # Nothing is known of a synchronous world before its first tick.
            self.ask(self.world.tick, self.address.timeout)
        roles = {a.id: a.attributes.get("role_name", "") for a in self.ask(self.world.get_actors)}
        left = {actor: name for actor, name in roles.items() if name.startswith(f"{ROLE}@")}
        living = [actor for actor, name in left.items() if alive(name)]
        if living and not self.address.take_over:
            raise SimulatorError(
                f"the CARLA server at {self.address} is in use: another environment has actor {living[0]} there "
                f"({left[living[0]]}). Close it, give this one a server of its own (port=...), or, if it is dead, pass "
                "take_over=True"
            )
        if left:
            # These settings are the dead one's; CARLA begins without a clock of its own.
            self._found.synchronous_mode, self._found.fixed_delta_seconds = False, None
            self._found.no_rendering_mode = False
            self.ask(self.client.apply_batch_sync, [self.carla.command.DestroyActor(i) for i in left], False)

    def load_town(self, town: str) -> bool:
        """Bring the server to a town, unless it is there already; whether the world is a new one."""
        if self.map.name.rpartition("/")[2] == town:
            return False
        known = sorted(name.rpartition("/")[2] for name in self.ask(self.client.get_available_maps))
        if town not in known:
            raise unknown(f"town of the CARLA server at {self.address}", town, known)
        self._enter(self.client.load_world, town, False)
        return True

    def load_opendrive(self, xodr: str) -> bool:
        """Let the server build the world of an OpenDRIVE text, unless it has; whether the world is a new one."""
        if self.map.to_opendrive() == xodr:
            return False
        parameters = self.carla.OpendriveGenerationParameters(
            **OPENDRIVE, smooth_junctions=True, enable_mesh_visibility=True
        )
        self._enter(self.client.generate_opendrive_world, xodr, parameters, False)
        return True

    def _enter(self, load: Callable[..., Any], *arguments: Any) -> None:
        """Go over to the world that a call of the client loads."""
        self.client.set_timeout(self.address.load_timeout)
        self.world = self.ask(load, *arguments)
        self._frame = None
        self._read_map()
        self.client.set_timeout(self.address.timeout)

    def _read_map(self) -> None:
        self.map = self.ask(self.world.get_map)
        if self.map.name not in self._networks:
            self._networks[self.map.name] = RoadNetwork(self.map)
        self.network = self._networks[self.map.name]

    def _set_clock(self, dt: float, rendering: bool) -> None:
        settings = self.world.get_settings()
        settings.synchronous_mode, settings.fixed_delta_seconds = True, dt
        settings.substepping = True
        settings.max_substep_delta_time, settings.max_substeps = SUBSTEP, round(dt / SUBSTEP)
        settings.no_rendering_mode = not rendering
        self.ask(self.world.apply_settings, settings, self.address.timeout)


def _wait_for_port(address: Address) -> None:
    """Until something listens there; tried again with longer and longer pauses."""
    deadline, pause = time.monotonic() + address.timeout, FIRST_PAUSE
    while True:
        try:
            socket.create_connection((address.host, address.port), timeout=address.timeout).close()
            return
        except OSError as error:
            if time.monotonic() + pause > deadline:
                raise SimulatorError(
                    f"no CARLA server at {address} within {address.timeout:g} s ({error}): start CARLA 0.9.16 there, "
                    f"or, to test without one, `python -m learned_sim_env.carla_standin --port {address.port}`"
                ) from error
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
