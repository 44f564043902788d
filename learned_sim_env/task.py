"""Reward, cost and end of an episode, for simulators (from two successive scenes) and dreams (from predicted terms)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from learned_sim_env.road import road_index
from learned_sim_env.scene import Scene, to_frame, wrap_angle
from learned_sim_env.spec import (
    COST_TERMS,
    REWARD_TERMS,
    SCENARIO_TAGS,
    TERMINATIONS,
    TRUNCATIONS,
    Contract,
    RewardSpec,
    SemanticClass,
)

# What can happen in a step; reward, cost and end follow from them.
EVENTS = ("collision", "off_road", "arrival", "wrong_way")
# Reward terms that are graded; the others follow from events.
GRADED_TERMS = REWARD_TERMS[:4]
# Those of them that are a matter of prediction; the last follows from the actions.
UNCERTAIN_TERMS = GRADED_TERMS[:-1]
# Where in `EVENTS` are those that are rewarded or punished, that cost, and that terminate.
_BONUSES = [EVENTS.index(name) for name in REWARD_TERMS[4:]]
_COSTS = [EVENTS.index(name) for name in COST_TERMS]
_TERMINATIONS = [EVENTS.index(name) for name in TERMINATIONS]
# Ways in which an episode ends, by the index that arrays name them with; -1 is that of one that goes on.
ENDS = (*TERMINATIONS, *TRUNCATIONS)
TIME_LIMIT, UNCERTAINTY, NOT_FINITE = (ENDS.index(name) for name in ("time_limit", "uncertainty", "not_finite"))
# [m] around the ego in which scenery and agents give a moment its tags.
TAG_REACH = 25.0


@dataclass(frozen=True)
class Outcome:
    """What a step was worth, over B rows.

    reward_terms: (B, 7) float32, see `spec.REWARD_TERMS`. cost_terms: (B, 3) float32 in {0, 1}, see `spec.COST_TERMS`.
    end: (B,) int8, index into `spec.TERMINATIONS` of the first that holds, or -1.
    """

    reward_terms: np.ndarray
    cost_terms: np.ndarray
    end: np.ndarray

    @property
    def reward(self) -> np.ndarray:
        """(B,) float32, the sum of the terms."""
        return self.reward_terms.sum(-1)

    @property
    def cost(self) -> np.ndarray:
        """(B,) float32, 1 where any cost term is."""
        return self.cost_terms.max(-1)

    @property
    def terminated(self) -> np.ndarray:
        """(B,) bool."""
        return self.end >= 0


def outcome(terms: np.ndarray, events: np.ndarray, reward: RewardSpec) -> Outcome:
    """Reward, cost and end from graded terms (B, 4) float32 and events (B, 4) bool."""
    bonus = np.array([reward.arrival, -reward.collision, -reward.off_road])
    reward_terms = np.empty((len(terms), len(REWARD_TERMS)), np.float32)
    reward_terms[:, : len(GRADED_TERMS)] = terms
    reward_terms[:, len(GRADED_TERMS) :] = np.where(events[:, _BONUSES], bonus, 0.0)
    ends = events[:, _TERMINATIONS]
    end = np.where(ends.any(-1), ends.argmax(-1), -1).astype(np.int8)
    return Outcome(reward_terms, events[:, _COSTS].astype(np.float32), end)


@dataclass(frozen=True)
class Expected:
    """What a step is worth on average over the events that may happen in it, of (...) rows, float32.

    reward, cost: the means of those of `Outcome`. goes_on: probability that no event ends the episode.
    """

    reward: np.ndarray
    cost: np.ndarray
    goes_on: np.ndarray


def expected(terms: np.ndarray, probabilities: np.ndarray, reward: RewardSpec) -> Expected:
    """Means of reward and cost from graded terms (..., 4) and probabilities (..., 4) of independent `EVENTS`."""
    bonus = np.array([reward.arrival, -reward.collision, -reward.off_road], np.float32)
    spared = 1 - probabilities
    return Expected(
        reward=terms.sum(-1) + probabilities[..., _BONUSES] @ bonus,
        cost=1 - spared[..., _COSTS].prod(-1),
        goes_on=spared[..., _TERMINATIONS].prod(-1),
    )


def graded_terms(before: Scene, after: Scene, contract: Contract) -> np.ndarray:
    """(4,) float32: the graded reward terms of a step, each bounded.

    progress = w clip(v_parallel / v_ref, -1, 1); lateral_speed = -w min(|v_lateral| / bound, 1);
    jerk = -w min(|a' - a| / dt / bound, 1); steering_change = -w |steer' - steer| / 2.
    v_parallel and v_lateral are the velocity along and across the route, a the acceleration along the heading.
    """
    r, ego = contract.reward, after.ego
    _, _, error = road_index(after.road_map).on_route(ego.pose)
    along, across = to_frame(np.array(ego.velocity), np.array([0.0, 0.0, ego.heading - error]))
    jerk = abs(ego.acceleration - before.ego.acceleration) / contract.dt
    return np.array(
        [
            r.progress * np.clip(along / r.reference_speed, -1.0, 1.0),
            -r.lateral_speed * min(abs(across) / r.lateral_speed_bound, 1.0),
            -r.jerk * min(jerk / r.jerk_bound, 1.0),
            steering_term(ego.steer - before.ego.steer, r),
        ],
        np.float32,
    )


def steering_term(change: Any, reward: RewardSpec) -> Any:
    """The graded term of a change of steering, in [-2, 2]; a number, NumPy or torch."""
    return -reward.steering_change * abs(change) / 2


def events(scene: Scene, contract: Contract) -> np.ndarray:
    """(4,) bool: which of `EVENTS` hold in a scene."""
    index, pose = road_index(scene.road_map), scene.ego.pose
    lanes = index.lanes_at(pose[:2])
    left, distance, _ = index.on_route(pose)
    arrived = left < contract.arrival_distance and abs(distance) < contract.arrival_distance
    directed = [lane for lane in lanes if len(lane.centre) > 1]
    against = bool(directed) and all(
        abs(wrap_angle(pose[2] - _heading_at(lane.centre, pose[:2]))) > contract.wrong_way_angle for lane in directed
    )
    collided = bool(scene.contacts) or bool(_touches_ego(scene).any())
    return np.array([collided, not lanes, arrived, against])


def ego_vector(scene: Scene, contract: Contract) -> np.ndarray:
    """(6,) float32: the `ego` observation, see `spec.EGO_FIELDS`, clipped to the contract's bounds."""
    ego = scene.ego
    _, distance, error = road_index(scene.road_map).on_route(ego.pose)
    vector = np.array([ego.speed, ego.yaw_rate, ego.steer, ego.throttle_brake, distance, error], np.float32)
    bounds = np.array(contract.modality("ego").bounds, np.float32)
    return np.clip(vector, -bounds, bounds)


def scenario_tags(scene: Scene) -> np.ndarray:
    """(7,) bool: which of `spec.SCENARIO_TAGS` describe the moment; "straight" where no other kind of road is near."""
    index, pose = road_index(scene.road_map), scene.ego.pose
    # Ahead matters more than behind.
    ahead = pose[:2] + 0.4 * TAG_REACH * np.array([np.cos(pose[2]), np.sin(pose[2])])
    found = {
        lane.tag
        for lane in (scene.road_map.lanes[i] for i in index.lanes_near(ahead, 0.6 * TAG_REACH))
        if (((lane.centre - ahead) ** 2).sum(-1) < (0.6 * TAG_REACH) ** 2).any()
    }
    near = ((scene.agents.poses[:, :2] - pose[:2]) ** 2).sum(-1) < TAG_REACH**2
    static = scene.agents.classes == SemanticClass.STATIC_OBJECT
    if (near & ~static).any():
        found.add("traffic")
    if (near & static).any():
        found.add("objects")
    if not found & {"curve", "intersection", "roundabout", "merge"}:
        found.add("straight")
    else:
        found.discard("straight")
    return np.array([tag in found for tag in SCENARIO_TAGS])


def _heading_at(centre: np.ndarray, point: np.ndarray) -> float:
    """Direction [rad] of the polyline `centre` (M, 2) where it is nearest to `point`."""
    i = min(int(((centre - point) ** 2).sum(-1).argmin()), len(centre) - 2)
    return float(np.arctan2(*(centre[i + 1] - centre[i])[::-1]))


def _touches_ego(scene: Scene) -> np.ndarray:
    """(N,) bool: whose box overlaps the ego's, by the separating-axis test on the four box axes."""
    agents, ego = scene.agents, scene.ego
    offset = agents.poses[:, :2] - ego.pose[:2]
    angle = agents.poses[:, 2] - ego.heading
    c, s = np.abs(np.cos(angle)), np.abs(np.sin(angle))
    half_ego = np.array([ego.length, ego.width]) / 2
    half = agents.sizes / 2
    apart = np.zeros(len(agents), bool)
    for heading, own, other in (
        (np.full(len(agents), ego.heading), half_ego, half),
        (agents.poses[:, 2], half, half_ego),
    ):
        ch, sh = np.cos(heading), np.sin(heading)
        along = np.abs(offset[:, 0] * ch + offset[:, 1] * sh)
        across = np.abs(-offset[:, 0] * sh + offset[:, 1] * ch)
        apart |= along > own[..., 0] + other[..., 0] * c + other[..., 1] * s
        apart |= across > own[..., 1] + other[..., 0] * s + other[..., 1] * c
    return ~apart
