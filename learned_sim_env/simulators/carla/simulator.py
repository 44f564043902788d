"""CARLA behind the contract's `Simulator`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from learned_sim_env.opendrive import open_map, read_opendrive
from learned_sim_env.optional import require
from learned_sim_env.scene import PICTURES, Ego, Scene, SimulatorError
from learned_sim_env.simulators.carla import driver
from learned_sim_env.simulators.carla.connection import LAST_WILL, Address, Connection, role
from learned_sim_env.simulators.carla.lights import StopLines, crossed
from learned_sim_env.simulators.carla.reading import Reader
from learned_sim_env.simulators.carla.routes import START, pose_at
from learned_sim_env.simulators.carla.scenario import WEATHERS, CarlaScenario
from learned_sim_env.simulators.carla.sensors import CAMERAS, EgoSensors, check_extras
from learned_sim_env.simulators.carla.traffic import CarlaTraffic
from learned_sim_env.spec import SCENARIO_TAGS, CameraSpec, Contract, unknown

# Steps in which cars that were put on the road come to rest on it.
SETTLING = 5
# [m] above the road at which the ego appears.
DROP = 0.3


class CarlaSimulator:
    """A CARLA 0.9.16 server, driven through its own client.

    Args:
        contract: clock and conventions to keep.
        host, port, timeout, load_timeout: where the server is, and how long to wait for answers and maps [s].
        take_over: remove what another environment left on the server, instead of refusing it.
        town: map to load, as the server calls it, or several, of which the seed of an episode chooses one; "": the one
            that the server has.
        opendrive: OpenDRIVE file to build the map from, instead of a town.
        vehicle: CARLA's name of the ego's blueprint.
        vehicles: least and most vehicles of traffic near the route. walkers: most pedestrians.
        weather: "keep", "random" (drawn by the seed) or a preset of CARLA such as "ClearNoon".
        extras: more of `info`: "red_light" (whether a stop line was crossed at red), "lane_invasion" (kinds of the
            markings crossed), "rgb" (H, W, 3) uint8, "semantic_camera" (H, W) uint8, CARLA's tags.
        camera_size: width, height of these pictures.
        cameras: RGB cameras on the ego by name, whose pictures scenes have in their `extras`, by name under "cameras".

    Raises:
        ImportError: if the client is not installed.
        ValueError: for a setting that cannot be.
    """

    def __init__(
        self,
        contract: Contract,
        host: str = "127.0.0.1",
        port: int = 2000,
        timeout: float = 10.0,
        load_timeout: float = 60.0,
        take_over: bool = False,
        town: str | Sequence[str] = "",
        opendrive: str = "",
        vehicle: str = "vehicle.tesla.model3",
        vehicles: tuple[int, int] = (5, 30),
        walkers: int = 10,
        weather: str = "keep",
        extras: tuple[str, ...] = (),
        camera_size: tuple[int, int] = (320, 180),
        cameras: Mapping[str, CameraSpec] | None = None,
    ):
        self._carla = require("carla", extra="carla")
        check_extras(extras)
        if weather not in ("keep", "random") and not hasattr(self._carla.WeatherParameters, weather):
            raise unknown("weather", weather, ("keep", "random", *WEATHERS))
        if not town and not isinstance(town, str):
            raise ValueError("town is an empty list: name at least one town")
        if town and opendrive:
            raise ValueError(f"town {town!r} and opendrive {opendrive!r} exclude each other: give one of them")
        if not 0 <= vehicles[0] <= vehicles[1] or walkers < 0:
            raise ValueError(f"vehicles is {vehicles} and walkers {walkers}; give a least and a most, and 0 or more")
        self._contract, self._address = contract, Address(host, port, timeout, load_timeout, take_over)
        self._towns = [town] if isinstance(town, str) else list(town)
        self._opendrive, self._vehicle = read_opendrive(opendrive) if opendrive else "", vehicle
        if opendrive:
            open_map(opendrive, self._opendrive)
        self._vehicles, self._walkers, self._weather = (vehicles[0], vehicles[1]), walkers, weather
        self._extras, self._camera_size, self._cameras = tuple(extras), camera_size, dict(cameras or {})
        self._connection: Connection | None = None
        self._actor: Any = None
        self._ego: Ego
        self._sensors: EgoSensors | None = None
        self._traffic: CarlaTraffic | None = None

    @staticmethod
    def in_use() -> bool:
        """Always: the client is native code that a server can bring down, so it gets a process of its own."""
        return True

    def reset(self, seed: int, options: dict[str, Any]) -> Scene:
        """Start the scenario of `seed`. options: `scenario`, one of `spec.SCENARIO_TAGS`, asks for one that has it.

        Raises:
            SimulatorError: if there is no server or it fails; the next reset connects anew.
            ValueError: for an unknown scenario, or a town, a file or a scenario that cannot be had.
        """
        tag = options.get("scenario")
        if tag is not None and tag not in SCENARIO_TAGS:
            raise unknown("scenario", tag, SCENARIO_TAGS)
        with self._or_abandon():
            connection = self._connect()
            self._clear()
            return self._begin(connection, seed, tag)

    def step(self, action: np.ndarray) -> Scene:
        """Apply (2,) float32 `[steer, throttle_brake]` for one clock step.

        Raises:
            SimulatorError: if the server fails; the next reset connects anew.
        """
        steer, push = map(float, action)
        with self._or_abandon():
            if self._connection is None or self._traffic is None:
                raise SimulatorError("there is no episode: reset the environment")
            control = self._carla.VehicleControl(throttle=max(push, 0.0), steer=steer, brake=max(-push, 0.0))
            self._actor.apply_control(control)
            snapshot = self._connection.tick()
            self._traffic.step(snapshot)
            before, red = self._ego, self._red
            self._ego = self._reader.ego(snapshot, action, before)
            extras = {} if "red_light" not in self._extras else {"red_light": crossed(red, before, self._ego)}
            return self._scene(snapshot, extras)

    def policy_action(self, name: str) -> np.ndarray:
        """(2,) float32: what the "expert", which stops at red lights, or "idm", which does not, would do now."""
        return driver.act(name, self._route.path, self._last)

    def close(self) -> None:
        """Remove what was spawned, put the server back as it was found, and let go of it."""
        if self._connection is None:
            return
        try:
            self._clear()
            self._connection.end_manager()
            self._connection.close()
        except RuntimeError:
            self._abandon()
        self._connection = None

    @contextmanager
    def _or_abandon(self) -> Iterator[None]:
        """Whatever fails within makes an end of the episode and is a `SimulatorError`."""
        try:
            yield
        except SimulatorError:
            self._abandon()
            raise
        except RuntimeError as error:
            self._abandon()
            raise SimulatorError(f"the CARLA server at {self._address} failed: {error}") from error

    def _connect(self) -> Connection:
        if self._connection is None:
            rendering = bool(self._cameras) or any(name in CAMERAS for name in self._extras)
            self._connection = Connection(self._address, self._contract.dt, rendering)
            self._boxes: dict[str, Any] = {}
        return self._connection

    def _enter(self, connection: Connection, town: str) -> None:
        """Bring the world to where the episode is to be, with a TrafficManager that knows it."""
        if self._opendrive:
            fresh = connection.load_opendrive(self._opendrive)
        else:
            fresh = bool(town) and connection.load_town(town)
        if fresh:
            connection.tick()
            connection.end_manager()
        if connection.manager is None:
            self._stop_lines = StopLines(connection.world)
            connection.open_manager()

    def _choose(self, connection: Connection, rng: np.random.Generator, tag: str | None) -> CarlaScenario:
        """The first scenario with the tag in the towns, taken in the seed's order."""
        order = rng.permutation(len(self._towns))
        for i in order:
            self._enter(connection, self._towns[i])
            try:
                return CarlaScenario.draw(connection.network, rng, tag, self._vehicles, self._walkers)
            except ValueError:
                if i == order[-1]:
                    raise
        raise AssertionError("there is at least one town")

    def _begin(self, connection: Connection, seed: int, tag: str | None) -> Scene:
        rng = np.random.default_rng([seed, 0xCA21A])
        scenario = self._choose(connection, rng, tag)
        self._route = scenario.route
        if self._weather != "keep":
            name = scenario.weather if self._weather == "random" else self._weather
            connection.world.set_weather(getattr(self._carla.WeatherParameters, name))
        # Seeding it resets the lights as well.
        connection.manager.set_random_device_seed(int(rng.integers(1 << 31)))
        connection.ask(connection.world.reset_all_traffic_lights)
        self._actor = self._spawn_ego(connection)
        self._sensors = EgoSensors(
            self._carla, connection.world, self._actor, self._extras, self._camera_size, self._cameras
        )
        self._traffic = CarlaTraffic(connection)
        self._traffic.spawn(scenario, rng, pose_at(self._route.path, START)[:2])
        self._actor.apply_control(self._carla.VehicleControl(brake=1.0))
        for _ in range(SETTLING):
            snapshot = connection.tick()
            self._traffic.step(snapshot)
        movers = [a for a in connection.world.get_actors() if a.type_id.startswith(("vehicle.", "walker."))]
        others = [*movers, *connection.world.get_actors(self._traffic.ids)]
        self._reader = Reader(self._actor, others, self._boxes, self._contract.dt)
        self._sensors.contacts()
        self._ego = self._reader.ego(snapshot, np.zeros(2, np.float32), None)
        return self._scene(snapshot, {"red_light": False} if "red_light" in self._extras else {})

    def _spawn_ego(self, connection: Connection) -> Any:
        library = connection.world.get_blueprint_library()
        known = [b.id for b in library.filter("vehicle.*")]
        if self._vehicle not in known:
            raise unknown("vehicle", self._vehicle, sorted(known))
        blueprint = library.find(self._vehicle)
        blueprint.set_attribute("role_name", role())
        # Farther on, where another vehicle stands in the way.
        for farther in (0.0, 6.0, 12.0):
            place = pose_at(self._route.path, START + farther)
            ego = connection.world.try_spawn_actor(blueprint, connection.ground(*place, DROP))
            if ego is not None:
                return ego
        raise SimulatorError(
            f"the CARLA server at {self._address} spawns no {self._vehicle} at the start of the route "
            f"({place[0]:.1f}, {place[1]:.1f}): is the road there free?"
        )

    def _scene(self, snapshot: Any, extras: dict[str, Any]) -> Scene:
        assert self._sensors is not None
        self._red = self._stop_lines.closed("Red")
        extras = {**extras, **self._sensors.extras(snapshot.frame, self._address.timeout)}
        if self._cameras:
            extras[PICTURES] = self._sensors.pictures(snapshot.frame, self._address.timeout)
        contacts = self._sensors.contacts()
        agents = self._reader.agents(snapshot, self._ego)
        closed = self._red + self._stop_lines.closed("Yellow")
        self._last = Scene(self._route.road_map, self._ego, agents, contacts, closed, extras)
        return self._last

    def _clear(self) -> None:
        """Remove the last episode's actors."""
        if self._connection is None or self._actor is None:
            return
        if self._sensors is not None:
            self._sensors.stop()
        self._connection.ask(self._connection.client.apply_batch_sync, self._forget(), False)
        self._connection.tick()

    def _forget(self) -> list[Any]:
        """The commands that destroy all actors of the episode, which are no longer ours."""
        sensors = [] if self._sensors is None else self._sensors.actors
        ids = [actor.id for actor in (*sensors, self._actor) if actor is not None]
        ids += [] if self._traffic is None else self._traffic.ids
        self._actor = self._sensors = self._traffic = None
        return [self._carla.command.DestroyActor(actor_id) for actor_id in ids]

    def _abandon(self) -> None:
        """After a failure: ask for everything to be put back, wait little for it, and let go."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        destroy = self._forget()
        connection.client.set_timeout(LAST_WILL)
        with suppress(RuntimeError):
            connection.client.get_server_version()
            # It answers.
            connection.end_manager()
        with suppress(RuntimeError):
            # One that hangs finds this when it wakes.
            connection.client.apply_batch(destroy)
        connection.close(LAST_WILL)
