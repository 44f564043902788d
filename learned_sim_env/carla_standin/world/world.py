"""The stand-in's world: a flat map, actors that move on it, lights, and what happened in the last step."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from learned_sim_env.carla_standin import wire
from learned_sim_env.carla_standin.blueprints import BLUEPRINTS, SPECTATOR, Blueprint, sound_attributes, traffic
from learned_sim_env.carla_standin.wire import Refused
from learned_sim_env.carla_standin.world import lights, motion
from learned_sim_env.carla_standin.world.actors import AT_REST, Actor
from learned_sim_env.carla_standin.world.contacts import boxes_of, overlaps
from learned_sim_env.carla_standin.world.roads import Roads
from learned_sim_env.carla_standin.world.signs import LIGHT, REACH

SPEED_LIMIT = 30.0  # [km/h], as CARLA's towns
# [frames] for which calls on an actor that has been destroyed still find it. A client's TrafficManager works on frames
# that it has already; an error would end its process.
REMEMBERED = 3
# Records of EpisodeSettings and WeatherParameters when a world begins.
SETTINGS = (False, False, [False], True, 0.01, 10, 0.0, True, 3000.0, 2000.0, True)
WEATHER = (5.0, 0.0, 0.0, 10.0, 0.0, 45.0, 2.0, 0.75, 0.1, 0.0, 1.0, 0.03, 0.0331, 0.0)


@dataclass(frozen=True)
class Collision:
    """Two actors touched; impulse [N s] on the first."""

    actor: Actor
    other: Actor
    impulse: tuple[float, float, float]


class StandInWorld:
    """One episode on one map; `load` begins another. Actor ids are never used again."""

    def __init__(self, roads: Roads, synchronous: bool = False):
        self.settings: list = list(SETTINGS)
        self.settings[0], self.settings[2] = synchronous, [True, 0.05] if synchronous else [False]
        self.frame, self.episode = 0, 0
        self._last_id = 0
        self.load(roads)

    def load(self, roads: Roads) -> None:
        """Begin a new episode on a map; all actors are gone. Frames go on, seconds begin at 0."""
        self.roads = roads
        self.episode += 1
        self.seconds = 0.0
        self.weather: list = list(WEATHER)
        self.actors: dict[int, Actor] = {}
        self._gone: dict[int, tuple[Actor, int]] = {}
        self.collisions: list[Collision] = []
        self.delta = 0.0
        self.spectator = self._add(SPECTATOR, [0.0, 0.0, 50.0, -90.0, 0.0, 0.0])
        by_sign = {}
        for signal in roads.signals:
            actor = self._add(traffic(signal.type), list(signal.transform))
            actor.signal = signal
            if signal.type == LIGHT:
                by_sign[signal.id] = lights.Light(actor, signal)
        self.lights = {light.actor.id: light for light in by_sign.values()}
        self.light_groups = [
            lights.LightGroup([[by_sign[sign] for sign in turn] for turn in group]) for group in roads.light_groups
        ]
        self._lights_at = defaultdict(list)
        for light in self.lights.values():
            for approach in light.signal.approaches:
                self._lights_at[approach.road, approach.lane].append((approach, light))
        self.reset_lights()

    @property
    def synchronous(self) -> bool:
        """Whether it waits for ticks."""
        return bool(self.settings[0])

    @property
    def outdated(self) -> bool:
        """Whether the last frame shows actors that have been destroyed since."""
        return any(last == self.frame for _, last in self._gone.values())

    @property
    def fixed_delta(self) -> float:
        """[s] of a step if that has been chosen, or 0."""
        chosen, *seconds = self.settings[2]
        return float(seconds[0]) if chosen else 0.0

    def reset_lights(self) -> None:
        """Begin all cycles anew."""
        for group in self.light_groups:
            group.reset()

    def find(self, actor_id: int) -> Actor:
        """The actor of an id, also one that is just gone; `Refused` if there is none."""
        actor = self.actors.get(actor_id)
        if actor is None and actor_id in self._gone:
            actor, _ = self._gone[actor_id]
        if actor is None:
            raise Refused(f"unable to find actor {actor_id}: it is not in this world")
        return actor

    def spawn(
        self, name: str, attributes: dict[str, str], place: list[float], parent: int = 0, stream: bytes = b""
    ) -> Actor:
        """Add an actor; a place is relative to its parent, if it has one. `Refused` if it would stand in another."""
        if name not in BLUEPRINTS:
            raise Refused(f"unknown blueprint {name}: not one that the stand-in has")
        attributes = sound_attributes(BLUEPRINTS[name], attributes)
        if parent and parent not in self.actors:
            raise Refused(f"unable to find actor {parent} to attach to: it is not in this world")
        owner = self.actors[parent] if parent else None
        actor = Actor(0, BLUEPRINTS[name], list(place), attributes, owner, list(place), stream)
        if owner is not None:
            actor.follow_parent()
        if actor.solid:
            near = [other for other in self.actors.values() if other.solid and other is not owner]
            if any(i == 0 for i, _ in overlaps(boxes_of([actor, *near]))):
                raise Refused("Spawn failed because of collision at spawn position")
        self._last_id += 1
        actor.id = self._last_id
        self.actors[actor.id] = actor
        return actor

    def destroy(self, actor_id: int) -> bool:
        """Remove an actor, and loosen what was fixed to it; False if there is none that a client may remove."""
        actor = self.actors.get(actor_id)
        if actor is None or actor.kind in ("spectator", "traffic"):
            return False
        del self.actors[actor_id]
        self._gone[actor_id] = (actor, self.frame)
        for other in self.actors.values():
            if other.parent is actor:
                other.parent = None
        return True

    def step(self, delta: float) -> None:
        """Let `delta` seconds pass, in as many sub-steps as the settings say."""
        substepping, longest, most = self.settings[3], self.settings[4], self.settings[5]
        pieces = min(max(1, round(delta / max(longest, 1e-3))), max(1, most)) if substepping else 1
        touched: dict[tuple[int, int], Collision] = {}
        movers = [actor for actor in self.actors.values() if actor.kind in ("vehicle", "walker")]
        solid = [actor for actor in self.actors.values() if actor.solid]
        for actor in movers:
            if not (actor.steered or actor.sticky):
                actor.control = AT_REST
            actor.steered = False
        for _ in range(pieces):
            for actor in movers:
                if not actor.still:
                    (motion.drive if actor.kind == "vehicle" else motion.walk)(actor, delta / pieces)
            for i, j in overlaps(boxes_of(solid)):
                collision = _collide(solid[i], solid[j])
                if collision is not None:
                    touched.setdefault((solid[i].id, solid[j].id), collision)
        for group in self.light_groups:
            group.step(delta)
        for actor in self.actors.values():
            actor.steps += 1
            actor.age += delta
            actor.follow_parent()
        self.frame += 1
        self._gone = {i: (actor, last) for i, (actor, last) in self._gone.items() if self.frame - last <= REMEMBERED}
        self.seconds += delta
        self.delta, self.collisions = delta, list(touched.values())

    def light_for(self, car: Actor) -> lights.Light | None:
        """The light that a vehicle stands at or drives up to."""
        if not self._lights_at:
            return None
        where = self.roads.lane_at(car.place[0], car.place[1])
        if where is None or where[:2] not in self._lights_at:
            return None
        left = [(approach.left(where[2]), light) for approach, light in self._lights_at[where[:2]]]
        at = [(abs(ahead), light) for ahead, light in left if -1.0 <= ahead <= REACH]
        return min(at, key=lambda found: found[0])[1] if at else None

    def snapshot(self) -> bytes:
        """The body of the world snapshot of the current frame."""
        rows = np.zeros(len(self.actors), wire.ACTOR)
        for i, actor in enumerate(self.actors.values()):
            rows[i] = (
                actor.id,
                wire.ACTIVE,
                actor.place,
                actor.velocity,
                (0.0, 0.0, actor.yaw_rate),
                actor.acceleration,
                self._details(actor),
            )
        return wire.snapshot(self.episode, time.time(), self.delta, rows)

    def _details(self, actor: Actor) -> bytes:
        if actor.kind == "vehicle":
            light = self.light_for(actor)
            return wire.vehicle_details(
                actor.control, SPEED_LIMIT, None if light is None else (light.state, light.actor.id)
            )
        if actor.kind == "walker":
            return wire.walker_details(*actor.walk)
        if actor.id in self.lights:
            light = self.lights[actor.id]
            green, yellow, red = light.times
            elapsed = self.group_of(actor.id).elapsed
            return wire.light_details(light.signal.id, (green, yellow, red), elapsed, 0, light.frozen, light.state)
        return b"" if actor.signal is None else wire.sign_details(actor.signal.id)

    def group_of(self, actor_id: int) -> lights.LightGroup:
        """The group of a traffic light; `Refused` if the actor is none."""
        for group in self.light_groups:
            if any(light.actor.id == actor_id for light in group.lights):
                return group
        raise Refused(f"actor {actor_id} is not a traffic light")

    def _add(self, blueprint: Blueprint, place: list[float]) -> Actor:
        self._last_id += 1
        actor = self.actors[self._last_id] = Actor(self._last_id, blueprint, place)
        return actor


def _collide(a: Actor, b: Actor) -> Collision | None:
    """Bring two that overlap and approach to rest; None if they part."""
    dx, dy = b.place[0] - a.place[0], b.place[1] - a.place[1]
    approach = dx * (a.velocity[0] - b.velocity[0]) + dy * (a.velocity[1] - b.velocity[1])
    if approach <= 0.0:
        return None
    mass = min(a.blueprint.mass, b.blueprint.mass)
    impulse = (mass * (b.velocity[0] - a.velocity[0]), mass * (b.velocity[1] - a.velocity[1]), 0.0)
    motion.stop(a)
    motion.stop(b)
    return Collision(a, b, impulse)
