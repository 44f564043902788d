"""MetaDrive as a source of scenes: procedural maps, traffic and accident scenes, headless and without assets.

MetaDrive's x, y, heading are those of the contract; its positive steering is left, so the sign is turned here.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from learned_sim_env.optional import require
from learned_sim_env.scene import Agents, Ego, Lane, Line, RoadMap, Scene, wrap_angle
from learned_sim_env.spec import SCENARIO_TAGS, Contract, SemanticClass, unknown

# [m] Agents farther than this from the ego are left out of the scene.
AGENT_REACH = 60.0
PHYSICS_STEP = 0.02  # [s]

# MetaDrive's block letters, how often a map gets one, and the scenario tag of the place.
BLOCKS = {
    "S": (1.0, ""),
    "C": (3.0, "curve"),
    "X": (1.5, "intersection"),
    "T": (1.5, "intersection"),
    "O": (1.5, "roundabout"),
    "r": (1.0, "merge"),
    "R": (1.0, "merge"),
    "y": (0.5, "merge"),
    "Y": (0.5, "merge"),
}
# The blocks on which MetaDrive sets up accident scenes.
ACCIDENT_BLOCKS = ("S", "C", "r", "R")
POLICIES = ("expert", "idm")

# MetaDrive keeps one engine a process; the holder of this has it.
_engine = threading.Lock()


@dataclass(frozen=True)
class MetaDriveScenario:
    """What the seed of an episode decides before MetaDrive's own generator takes over."""

    blocks: str
    lane_count: int
    lane_width: float  # [m]
    traffic_density: float  # vehicles per 10 m of lane, as MetaDrive counts them
    traffic_mode: str
    accident_probability: float

    @staticmethod
    def draw(seed: int, tag: str | None = None) -> MetaDriveScenario:
        """The scenario of `seed`; with `tag`, one whose map or traffic has it."""
        rng = np.random.default_rng([seed, 0xD217E])
        letters = list(BLOCKS)
        weights = np.array([BLOCKS[b][0] for b in letters])
        blocks = list(rng.choice(letters, size=rng.integers(1, 4), p=weights / weights.sum()))
        matching = ACCIDENT_BLOCKS if tag == "objects" else [b for b in letters if (BLOCKS[b][1] or "straight") == tag]
        if matching:
            blocks[0] = str(rng.choice(matching))
        mode = str(rng.choice(["respawn", "trigger"]))
        # Respawned traffic is everywhere from the start, triggered traffic only where the ego comes.
        density = rng.uniform(0.03, 0.12) if mode == "respawn" else rng.uniform(0.1, 0.3)
        return MetaDriveScenario(
            blocks="".join(blocks),
            lane_count=int(rng.choice([2, 3, 4], p=[0.4, 0.5, 0.1])),
            lane_width=float(rng.uniform(3.2, 4.0)),
            traffic_density=float(density if tag != "traffic" else 1.5 * density),
            traffic_mode=mode,
            accident_probability=float(rng.choice([0.0, 1.0], p=[0.4, 0.6]) if tag != "objects" else 1.0),
        )


class MetaDriveSimulator:
    """One MetaDrive engine. A process can hold one at a time; `ProcessSimulator` puts others in processes of their own.

    Raises:
        ImportError: if MetaDrive is not installed.
        RuntimeError: if another MetaDriveSimulator of this process is still open.
    """

    def __init__(self, contract: Contract):
        require("metadrive", extra="metadrive")
        self._contract = contract
        self._env: Any = None
        self._held = False
        self._hold()

    @staticmethod
    def in_use() -> bool:
        """Whether this process already holds an engine."""
        return _engine.locked()

    def reset(self, seed: int, options: dict[str, Any]) -> Scene:
        """Start the scenario of `seed`. options: `scenario`, one of `spec.SCENARIO_TAGS`, asks for one that has it."""
        tag = options.get("scenario")
        if tag is not None and tag not in SCENARIO_TAGS:
            raise unknown("scenario", tag, SCENARIO_TAGS)
        self._hold()
        if self._env is not None:
            # Only a fresh engine repeats an episode bit for bit: what ran before leaves traces of about 1e-6 m.
            self._env.close()
        self._env = make_env(MetaDriveScenario.draw(seed, tag), seed, self._contract.dt)
        self._env.reset()
        self._policies: dict[str, Any] = {}
        self._ids: dict[str, int] = {}
        self._road_map = road_map(self._env.current_map, self._env.agent.navigation.checkpoints)
        self._ego = self._read_ego(np.zeros(2, np.float32), previous=None)
        return self._scene(frozenset())

    def step(self, action: np.ndarray) -> Scene:
        """Apply (2,) float32 `[steer, throttle_brake]` for one clock step."""
        self._env.step([-float(action[0]), float(action[1])])
        self._ego = self._read_ego(action, previous=self._ego)
        vehicle = self._env.agent
        felt = {
            SemanticClass.VEHICLE: vehicle.crash_vehicle,
            SemanticClass.STATIC_OBJECT: vehicle.crash_object or vehicle.crash_building,
            SemanticClass.PEDESTRIAN: vehicle.crash_human,
        }
        return self._scene(frozenset(c for c, hit in felt.items() if hit))

    def policy_action(self, name: str) -> np.ndarray:
        """(2,) float32, in the contract's signs: what MetaDrive's own "expert" (PPO) or "idm" policy would do now."""
        if name == "expert":
            from metadrive.examples.ppo_expert import numpy_expert

            action = numpy_expert.expert(self._env.agent, deterministic=True)
            if not isinstance(numpy_expert._expert_weights, dict):
                # Left as it is, the archive would be unpacked again at every call.
                numpy_expert._expert_weights = dict(numpy_expert._expert_weights)
        elif name == "idm":
            from metadrive.policy.idm_policy import IDMPolicy

            if name not in self._policies:
                self._policies[name] = IDMPolicy(self._env.agent, random_seed=self._env.engine.global_random_seed)
            action = self._policies[name].act()
        else:
            raise unknown("policy", name, POLICIES)
        return np.clip(np.array([-action[0], action[1]], np.float32), -1.0, 1.0)

    def close(self) -> None:
        """Close the engine and let another simulator of this process have it."""
        if self._env is not None:
            self._env.close()
            self._env = None
        if self._held:
            self._held = False
            _engine.release()

    def _hold(self) -> None:
        """Take this process's engine, if it was not taken or was given back by `close`."""
        if self._held:
            return
        if not _engine.acquire(blocking=False):
            raise RuntimeError(
                "MetaDrive runs one engine a process and this process already has one: close the other environment, "
                "or make this one with isolate=True, which gives it a process of its own"
            )
        self._held = True

    def _scene(self, contacts: frozenset[SemanticClass]) -> Scene:
        return Scene(self._road_map, self._ego, self._read_agents(), contacts)

    def _read_ego(self, action: np.ndarray, previous: Ego | None) -> Ego:
        vehicle = self._env.agent
        velocity = vehicle.velocity
        heading = float(vehicle.heading_theta)
        speed = float(np.hypot(*velocity))
        dt = self._contract.dt
        return Ego(
            x=float(vehicle.position[0]),
            y=float(vehicle.position[1]),
            heading=heading,
            velocity=(float(velocity[0]), float(velocity[1])),
            yaw_rate=0.0 if previous is None else float(wrap_angle(heading - previous.heading)) / dt,
            acceleration=0.0 if previous is None else (speed - previous.speed) / dt,
            steer=float(action[0]),
            throttle_brake=float(action[1]),
            length=float(vehicle.LENGTH),
            width=float(vehicle.WIDTH),
        )

    def _read_agents(self) -> Agents:
        from metadrive.component.static_object.traffic_object import TrafficObject
        from metadrive.component.traffic_participants.base_traffic_participant import BaseTrafficParticipant
        from metadrive.component.vehicle.base_vehicle import BaseVehicle

        kinds = (
            (BaseVehicle, SemanticClass.VEHICLE),
            (BaseTrafficParticipant, SemanticClass.PEDESTRIAN),
            (TrafficObject, SemanticClass.STATIC_OBJECT),
        )
        rows = []
        for name, thing in self._env.engine.get_objects().items():
            kind = next((c for base, c in kinds if isinstance(thing, base)), None)
            if kind is None or thing is self._env.agent:
                continue
            x, y = thing.position
            distance = np.hypot(x - self._ego.x, y - self._ego.y)
            if distance > AGENT_REACH:
                continue
            still = kind == SemanticClass.STATIC_OBJECT
            vx, vy = (0.0, 0.0) if still else thing.velocity
            rows.append((distance, x, y, thing.heading_theta, thing.LENGTH, thing.WIDTH, vx, vy, kind, name))
        if not rows:
            return Agents.none()
        # By place: names are random, and would make the order differ from run to run.
        rows.sort(key=lambda row: row[:8])
        values = np.array([row[:8] for row in rows], np.float32)
        ids = [self._ids.setdefault(row[9], len(self._ids)) for row in rows]
        return Agents(
            ids=np.array(ids, np.int64),
            classes=np.array([row[8] for row in rows], np.uint8),
            poses=values[:, 1:4],
            sizes=values[:, 4:6],
            velocities=values[:, 6:8],
        )


def make_env(scenario: MetaDriveScenario, seed: int, dt: float) -> Any:
    """MetaDrive's own environment for a scenario, which a process can have one of."""
    from metadrive.engine.base_engine import BaseEngine
    from metadrive.envs.metadrive_env import MetaDriveEnv
    from metadrive.obs.observation_base import DummyObservation

    from learned_sim_env.simulators.metadrive_lidar import OrderedLidar

    # Assets are only needed to draw in 3-D; without them MetaDrive would try to download an archive.
    BaseEngine.try_pull_asset = staticmethod(lambda *args, **kwargs: None)
    return MetaDriveEnv(
        {
            "start_seed": seed,
            "num_scenarios": 1,
            "map_config": {
                "type": "block_sequence",
                "config": scenario.blocks,
                "lane_num": scenario.lane_count,
                "lane_width": scenario.lane_width,
                "exit_length": 50,
            },
            "traffic_density": scenario.traffic_density,
            "traffic_mode": scenario.traffic_mode,
            "accident_prob": scenario.accident_probability,
            "random_spawn_lane_index": True,
            # One car, always the same: the default one draws its brakes and engine anew for every scenario, and nothing
            # that is observed tells of them before they are used.
            "vehicle_config": {"vehicle_model": "static_default"},
            "physics_world_step_size": PHYSICS_STEP,
            "decision_repeat": round(dt / PHYSICS_STEP),
            "horizon": None,
            "agent_observation": DummyObservation,
            "sensors": {"lidar": (OrderedLidar,)},
            "log_level": 50,
            # The task decides how an episode ends.
            "out_of_road_done": False,
            "on_continuous_line_done": False,
            "crash_vehicle_done": False,
            "crash_object_done": False,
            "crash_human_done": False,
        }
    )


def road_map(current: Any, checkpoints: Sequence[str]) -> RoadMap:
    """Lanes and markings of one of MetaDrive's maps, and the route through these nodes of its network."""
    network, tags = current.road_network, {}
    for block in current.blocks:
        for roads in block.block_network.graph.values():
            for lanes in roads.values():
                tags.update({str(lane.index): BLOCKS.get(block.ID, (0.0, ""))[1] for lane in lanes})
    route_roads = list(pairwise(checkpoints))
    route = {str(lane.index) for a, b in route_roads for lane in network.graph[a][b]}
    lanes, lines = [], []
    for name, feature in current.get_map_features(interval=2).items():
        if "polygon" in feature:
            centre = np.asarray(feature["polyline"], np.float64)[:, :2]
            polygon = np.asarray(feature["polygon"], np.float64)[:, :2]
            lanes.append(Lane(polygon, centre, on_route=name in route, tag=tags.get(name, "")))
        else:
            points = np.asarray(feature["polyline"], np.float64)[:, :2]
            if len(points) > 1:
                lines.append(Line(points, broken="BROKEN" in feature["type"]))
    return RoadMap(tuple(lanes), tuple(lines), _route_line([network.graph[a][b] for a, b in route_roads]))


def _route_line(roads: list[list[Any]]) -> np.ndarray:
    """(N, 2): the middle of the roadway along the route, a point every two metres or so."""
    points = []
    for lanes in roads:
        steps = np.linspace(0.0, 1.0, max(2, int(np.ceil(lanes[0].length / 2.0)) + 1))
        points.append(np.mean([[lane.position(t * lane.length, 0.0) for t in steps] for lane in lanes], axis=0))
    line = np.concatenate(points)
    # Where roads meet, the end of one and the start of the next are the same place.
    far = np.hypot(*np.diff(line, axis=0).T) > 0.5
    return line[np.concatenate([[True], far])]
