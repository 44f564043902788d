"""One recorded episode: its schema, and the recorder that fills it from a twin environment step by step.

An episode of T steps has T + 1 moments (row 0 is the reset) and T transitions (row t leads from moment t to t + 1).
Poses and velocities are in the world frame of `learned_sim_env.scene`, in metres, radians and metres a second.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.road import STATIONS, road_index
from learned_sim_env.scene import Agents
from learned_sim_env.spec import (
    COST_TERMS,
    EGO_FIELDS,
    REWARD_TERMS,
    SCENARIO_TAGS,
    BevSpec,
    SemanticClass,
)
from learned_sim_env.task import EVENTS

if TYPE_CHECKING:
    from learned_sim_env.environments.twin import TwinDrivingEnv

# Slots of an agent row: the nearest movers (vehicles, pedestrians) come first, the nearest static objects after them.
MOVER_SLOTS = 16
STATIC_SLOTS = 16
AGENT_SLOTS = MOVER_SLOTS + STATIC_SLOTS

_VIEW = (BevSpec().height, BevSpec().width)

# Shape and dtype of one row of every array.
OBSERVATIONS: dict[str, tuple[tuple[int, ...], type]] = {
    "semantic": (_VIEW, np.uint8),
    "ego": ((len(EGO_FIELDS),), np.float32),
}
TRANSITIONS: dict[str, tuple[tuple[int, ...], type]] = {
    "actions": ((2,), np.float32),
    "rewards": ((), np.float32),
    "terminations": ((), np.bool_),
    "truncations": ((), np.bool_),
}
INFOS: dict[str, tuple[tuple[int, ...], type]] = {
    "map": (_VIEW, np.uint8),
    "ego_pose": ((3,), np.float64),
    "ego_velocity": ((2,), np.float32),
    "agent_ids": ((AGENT_SLOTS,), np.int64),
    "agent_classes": ((AGENT_SLOTS,), np.uint8),
    "agent_poses": ((AGENT_SLOTS, 3), np.float32),
    "agent_sizes": ((AGENT_SLOTS, 2), np.float32),
    "agent_velocities": ((AGENT_SLOTS, 2), np.float32),
    "route_left": ((), np.float32),
    "route_headings": ((STATIONS,), np.float32),
    "reward_terms": ((len(REWARD_TERMS),), np.float32),
    "cost_terms": ((len(COST_TERMS),), np.float32),
    "events": ((len(EVENTS),), np.bool_),
    "tags": ((len(SCENARIO_TAGS),), np.bool_),
}
MOMENTS = {**OBSERVATIONS, **INFOS}
SCHEMA = {**MOMENTS, **TRANSITIONS}
METADATA = ("seed", "simulator", "behaviour", "end_reason")


@dataclass(frozen=True, eq=False)
class Episode:
    """Arrays of one episode of T steps, checked against `SCHEMA` on construction (`ValueError` names what differs).

    semantic: (T+1, H, W) uint8 class ids. map: the same view without agents and ego, classes of the map only.
    ego: (T+1, 6) float32, `EGO_FIELDS`. ego_pose: (T+1, 3) float64. ego_velocity: (T+1, 2) float32.
    agent_ids: (T+1, 32) int64, -1 where the slot is empty; the same number is the same agent in all rows, in whatever
    slot. agent_classes, agent_poses, agent_sizes (length, width), agent_velocities: zeros where the slot is empty.
    route_left: (T+1,) float32, what is left of the route [m]. route_headings: (T+1, 14) float32 [rad], see
    `road.RoadIndex.route_headings`.
    reward_terms, cost_terms, events, tags: of the step that led to the moment, in the order of `REWARD_TERMS`,
    `COST_TERMS`, `task.EVENTS`, `SCENARIO_TAGS`.
    actions: (T, 2) float32. rewards: (T,) float32. terminations, truncations: (T,) bool.
    end_reason: one of `TERMINATIONS` or `TRUNCATIONS`.
    """

    seed: int
    simulator: str
    behaviour: str
    end_reason: str
    semantic: np.ndarray
    ego: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminations: np.ndarray
    truncations: np.ndarray
    map: np.ndarray
    ego_pose: np.ndarray
    ego_velocity: np.ndarray
    agent_ids: np.ndarray
    agent_classes: np.ndarray
    agent_poses: np.ndarray
    agent_sizes: np.ndarray
    agent_velocities: np.ndarray
    route_left: np.ndarray
    route_headings: np.ndarray
    reward_terms: np.ndarray
    cost_terms: np.ndarray
    events: np.ndarray
    tags: np.ndarray

    def __post_init__(self) -> None:
        steps = len(self.actions)
        for name, (shape, dtype) in SCHEMA.items():
            array = getattr(self, name)
            expected = (steps if name in TRANSITIONS else steps + 1, *shape)
            if array.shape != expected or array.dtype != dtype:
                raise ValueError(
                    f"episode {self.seed}: {name} is {array.dtype} {array.shape}, "
                    f"expected {np.dtype(dtype).name} {expected}"
                )

    def __len__(self) -> int:
        """Number of steps T."""
        return len(self.actions)

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays by their name in `SCHEMA`."""
        return {name: getattr(self, name) for name in SCHEMA}

    def metadata(self) -> dict[str, int | str]:
        """Seed, simulator, behaviour and end reason by name."""
        return {name: getattr(self, name) for name in METADATA}


assert {f.name for f in fields(Episode)} == {*SCHEMA, *METADATA}


def agent_slots(agents: Agents) -> dict[str, np.ndarray]:
    """The agents of one scene as a row of 32 slots; keys and shapes as the `agent_*` entries of `INFOS`."""
    static = agents.classes == SemanticClass.STATIC_OBJECT
    movers = np.flatnonzero(~static)[:MOVER_SLOTS]
    objects = np.flatnonzero(static)[:STATIC_SLOTS]
    rows = np.concatenate([movers, objects])
    slots = np.concatenate([np.arange(len(movers)), MOVER_SLOTS + np.arange(len(objects))])
    out: dict[str, np.ndarray] = {}
    for name in ("ids", "classes", "poses", "sizes", "velocities"):
        shape, dtype = INFOS[f"agent_{name}"]
        row: np.ndarray = np.full(shape, -1 if name == "ids" else 0, dtype)
        row[slots] = getattr(agents, name)[rows]
        out[f"agent_{name}"] = row
    return out


class EpisodeRecorder:
    """Collects the rows of one episode: `moment()` after reset and after each step, `transition(...)` for each step."""

    def __init__(self, env: TwinDrivingEnv) -> None:
        self._env = env
        self._rows: dict[str, list] = {name: [] for name in SCHEMA}

    def moment(self) -> None:
        """Append what the environment's latest scene shows."""
        env, scene = self._env, self._env.scene
        road = road_index(scene.road_map)
        left, _, _ = road.on_route(scene.ego.pose)
        row = {
            "semantic": env.semantic,
            "ego": env.ego_vector,
            "map": env.map_layer,
            "ego_pose": scene.ego.pose,
            "ego_velocity": np.asarray(scene.ego.velocity),
            **agent_slots(scene.agents),
            "route_left": left,
            "route_headings": road.route_headings(left),
            "reward_terms": env.outcome.reward_terms[0],
            "cost_terms": env.outcome.cost_terms[0],
            "events": env.events,
            "tags": env.tags,
        }
        for name, value in row.items():
            self._rows[name].append(np.array(value, MOMENTS[name][1]))

    def transition(self, action: np.ndarray, reward: float, terminated: bool, truncated: bool) -> None:
        """Append the step just taken."""
        for name, value in zip(TRANSITIONS, (action, reward, terminated, truncated), strict=True):
            self._rows[name].append(np.array(value, TRANSITIONS[name][1]))

    def episode(self, seed: int, simulator: str, behaviour: str, end_reason: str) -> Episode:
        """The finished episode."""
        arrays: dict[str, Any] = {
            name: np.array(rows, SCHEMA[name][1]).reshape(len(rows), *SCHEMA[name][0])
            for name, rows in self._rows.items()
        }
        return Episode(seed=seed, simulator=simulator, behaviour=behaviour, end_reason=end_reason, **arrays)
