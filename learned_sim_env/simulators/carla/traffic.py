"""All actors but the ego: vehicles of CARLA's TrafficManager, walkers controlled here, obstacles on the road."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from learned_sim_env.simulators.carla import frames
from learned_sim_env.simulators.carla.connection import Connection, role
from learned_sim_env.simulators.carla.routes import Route, offset_of, pose_at
from learned_sim_env.simulators.carla.scenario import CarlaScenario

# [m] from the route within which traffic begins, and from the ego's start at which it may not.
REACH, CLEARANCE = 80.0, 14.0
# What is put in the way.
PROPS = ("static.prop.trafficcone01", "static.prop.streetbarrier")
# [m] from the start at which obstacles begin, and to the right of the path at which they stand: on the lane, but the
# traffic, which drives around nothing, gets past.
PROPS_FROM, PROPS_ASIDE = 30.0, (1.4, 1.9)
# [m/s] of walkers, [m] that they walk before they turn round, [m] above the ground at which they appear.
WALK_SPEEDS, WALK, WALKER_HEIGHT = (0.8, 1.8), 15.0, 1.0
# Names of vehicles of more than two wheels that are left out.
TWO_WHEELS = ("bicycle", "motorcycle")


@dataclass(eq=False)
class Stroll:
    """A walker that goes to and fro between two places (2, 2) [m]."""

    actor: Any
    ends: np.ndarray
    speed: float
    towards: int = -1

    def step(self, carla: Any, snapshot: Any) -> None:
        """Turn round where it has arrived."""
        seen = snapshot.find(self.actor.id)
        if seen is None:
            return
        here = np.array(frames.point(seen.get_transform().location))
        if self.towards >= 0 and np.hypot(*(self.ends[self.towards] - here)) > 1.0:
            return
        self.towards = 1 - max(self.towards, 0)
        way = frames.direction(carla, self.ends[self.towards] - here)
        self.actor.apply_control(carla.WalkerControl(way, self.speed))


class CarlaTraffic:
    """The others of one episode."""

    def __init__(self, connection: Connection):
        self._connection, self._manager = connection, connection.manager
        self._library = connection.world.get_blueprint_library()
        self.ids: list[int] = []
        self.strolls: list[Stroll] = []

    def spawn(self, scenario: CarlaScenario, rng: np.random.Generator, start: tuple[float, float]) -> None:
        """Place as many as find room."""
        self._obstacles(scenario.route, rng, scenario.props)
        self._vehicles(scenario.route, rng, scenario.vehicles, start)
        self._walkers(scenario.route, rng, scenario.walkers)

    def step(self, snapshot: Any) -> None:
        """Lead the walkers."""
        for stroll in self.strolls:
            stroll.step(self._connection.carla, snapshot)

    def _vehicles(self, route: Route, rng: np.random.Generator, count: int, start: tuple[float, float]) -> None:
        carla = self._connection.carla
        points = [
            t
            for t in sorted(self._connection.map.get_spawn_points(), key=_order)
            if offset_of(route.path, frames.point(t.location)) < REACH
            and np.hypot(*np.subtract(frames.point(t.location), start)) > CLEARANCE
        ]
        chosen = rng.permutation(len(points))[:count]
        cars = [b for b in sorted(self._library.filter("vehicle.*"), key=lambda b: b.id) if _is_car(b)]
        batch = []
        for i in chosen:
            blueprint = cars[int(rng.integers(len(cars)))]
            blueprint.set_attribute("role_name", role())
            batch.append(carla.command.SpawnActor(blueprint, points[i]))
        ids = self._spawned(batch)
        for actor_id in ids:
            vehicle = self._connection.world.get_actor(actor_id)
            vehicle.set_autopilot(True, self._manager.get_port())
            self._manager.vehicle_percentage_speed_difference(vehicle, float(rng.uniform(-20.0, 40.0)))

    def _obstacles(self, route: Route, rng: np.random.Generator, count: int) -> None:
        carla, batch = self._connection.carla, []
        s = PROPS_FROM + float(rng.uniform(0.0, 40.0))
        for _ in range(count):
            if s > len(route.path) - 20:
                break
            x, y, heading = pose_at(route.path, s)
            aside = float(rng.uniform(*PROPS_ASIDE))
            place = (x + aside * np.sin(heading), y - aside * np.cos(heading))
            blueprint = self._library.find(PROPS[int(rng.integers(len(PROPS)))])
            if blueprint.has_attribute("role_name"):
                blueprint.set_attribute("role_name", role())
            batch.append(carla.command.SpawnActor(blueprint, self._connection.ground(*place, heading, 0.1)))
            s += float(rng.uniform(4.0, 12.0))
        self._spawned(batch)

    def _walkers(self, route: Route, rng: np.random.Generator, count: int) -> None:
        carla, batch, strolls = self._connection.carla, [], []
        blueprints = sorted(self._library.filter("walker.pedestrian.*"), key=lambda b: b.id)
        places = [p for p in (self._pavement(route, s) for s in range(10, len(route.path) - 10, 7)) if p is not None]
        for i in rng.permutation(len(places))[:count] if blueprints else []:
            x, y, heading = places[i]
            blueprint = blueprints[int(rng.integers(len(blueprints)))]
            blueprint.set_attribute("role_name", role())
            batch.append(carla.command.SpawnActor(blueprint, self._connection.ground(x, y, heading, WALKER_HEIGHT)))
            way = float(rng.choice([-1.0, 1.0])) * WALK * np.array([np.cos(heading), np.sin(heading)])
            strolls.append((np.array([(x, y), (x + way[0], y + way[1])]), float(rng.uniform(*WALK_SPEEDS))))
        for actor_id, (ends, speed) in zip(self._spawned(batch, keep_order=True), strolls):
            if actor_id:
                self.strolls.append(Stroll(self._connection.world.get_actor(actor_id), ends, speed))

    def _pavement(self, route: Route, s: int) -> tuple[float, float, float] | None:
        """A place on the pavement beside a place of the route, if there is one: x, y, heading."""
        carla = self._connection.carla
        x, y, _ = pose_at(route.path, s)
        waypoint = self._connection.map.get_waypoint(carla.Location(x, -y, 0.0))
        for _ in range(8):
            if waypoint is None or waypoint.is_junction:
                return None
            if waypoint.lane_type == carla.LaneType.Sidewalk:
                t = waypoint.transform
                return (*frames.point(t.location), frames.heading(t.rotation))
            waypoint = waypoint.get_right_lane()
        return None

    def _spawned(self, batch: list[Any], keep_order: bool = False) -> list[int]:
        """Ids of the actors that found room; with `keep_order`, 0 for those that did not."""
        if not batch:
            return []
        # Not with a tick of its own, which can lock up CARLA's client.
        answers = self._connection.ask(self._connection.client.apply_batch_sync, batch, False)
        ids = [0 if answer.error else answer.actor_id for answer in answers]
        self.ids += [actor_id for actor_id in ids if actor_id]
        return ids if keep_order else [actor_id for actor_id in ids if actor_id]


def _is_car(blueprint: Any) -> bool:
    if blueprint.has_attribute("base_type"):
        return blueprint.get_attribute("base_type").as_str() not in TWO_WHEELS
    return int(blueprint.get_attribute("number_of_wheels")) == 4


def _order(transform: Any) -> tuple[float, ...]:
    place = transform.location
    return round(place.x, 2), round(place.y, 2), round(place.z, 2), round(transform.rotation.yaw, 1)
