"""Recording an episode from a twin environment, step by step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.data.episode import (
    MODALITIES,
    MOMENTS,
    MOVER_SLOTS,
    PARTS,
    SCENERY_SLOTS,
    SCHEMA,
    STATIC_SLOTS,
    TRANSITIONS,
    Episode,
    unknown_rows,
)
from learned_sim_env.road import road_index
from learned_sim_env.scene import Agents, Scene
from learned_sim_env.spec import SemanticClass

if TYPE_CHECKING:
    from learned_sim_env.environments.twin import TwinDrivingEnv


def agent_slots(agents: Agents) -> dict[str, np.ndarray]:
    """The agents of one scene as a row of 32 slots; keys and shapes as the `agent_*` entries of `MOMENTS`."""
    static = agents.classes == SemanticClass.STATIC_OBJECT
    movers = np.flatnonzero(~static)[:MOVER_SLOTS]
    objects = np.flatnonzero(static)[:STATIC_SLOTS]
    rows = np.concatenate([movers, objects])
    slots = np.concatenate([np.arange(len(movers)), MOVER_SLOTS + np.arange(len(objects))])
    out: dict[str, np.ndarray] = {}
    for name in ("ids", "classes", "poses", "sizes", "velocities"):
        shape, dtype = MOMENTS[f"agent_{name}"]
        row = unknown_rows(f"agent_{name}", shape, np.dtype(dtype))
        row[slots] = getattr(agents, name)[rows]
        out[f"agent_{name}"] = row
    return out


def scenery_slots(scene: Scene) -> dict[str, np.ndarray]:
    """What stands beside the road around the ego as a row of 48 slots; keys, shapes as those entries of `MOMENTS`."""
    from learned_sim_env.rendering.camera.scenery import scenery  # It needs OpenCV, and most episodes have no cameras.

    around = scenery(scene.road_map).around(scene.ego.pose, SCENERY_SLOTS)
    out: dict[str, np.ndarray] = {}
    for name in ("kinds", "poses", "sizes"):
        shape, dtype = MOMENTS[f"scenery_{name}"]
        row: np.ndarray = np.zeros(shape, dtype)
        row[: len(around.kinds)] = getattr(around, name)
        out[f"scenery_{name}"] = row
    return out


class EpisodeRecorder:
    """Collects the rows of one episode: `moment()` after reset and after each step, `transition(...)` for each step.

    names: modalities of the environment's contract to record. Scenery is recorded where drawn cameras are.
    """

    def __init__(self, env: TwinDrivingEnv, names: Iterable[str] = MODALITIES) -> None:
        self._env = env
        self._seen: dict[str, list[np.ndarray]] = {name: [] for name in names}
        cameras = [name for name in self._seen if env.contract.modality(name).camera is not None]
        # No scene tells what a simulator's own cameras show beside the road.
        self._scenery = bool(cameras) and env.cameras.source == "drawn"
        left_out = () if self._scenery else PARTS["scenery"]
        self._rows: dict[str, list[np.ndarray]] = {name: [] for name in SCHEMA if name not in left_out}

    def moment(self) -> None:
        """Append what the environment's latest scene shows."""
        env, scene = self._env, self._env.scene
        road = road_index(scene.road_map)
        left, _, _ = road.on_route(scene.ego.pose)
        row = {
            "map": env.map_layer,
            "ego_pose": scene.ego.pose,
            "ego_velocity": np.asarray(scene.ego.velocity),
            **agent_slots(scene.agents),
            **(scenery_slots(scene) if self._scenery else {}),
            "route_left": left,
            "route_headings": road.route_headings(left),
            "reward_terms": env.outcome.reward_terms[0],
            "cost_terms": env.outcome.cost_terms[0],
            "events": env.events,
            "tags": env.tags,
        }
        for name, value in row.items():
            self._rows[name].append(np.array(value, MOMENTS[name][1]))
        for name, seen in env.observed(self._seen).items():
            self._seen[name].append(np.array(seen, env.contract.modality(name).dtype))

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
        observations = {name: np.array(rows) for name, rows in self._seen.items()}
        return Episode(seed, simulator, behaviour, end_reason, observations, **arrays)
