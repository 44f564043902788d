"""Wrappers of single environments, on a dream and on its twin alike. Frames are stacked by Gymnasium's own wrappers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from learned_sim_env.drivers.ray_features import RayFeatures, flat_space
from learned_sim_env.drivers.route import follow
from learned_sim_env.reinforcement.infos import info_value
from learned_sim_env.spec import CONTRACTS, DISCRETE_ACTIONS, EGO_FIELDS, SCENARIO_TAGS, unknown

ONE_ROW = np.ones(1, bool)
REWARD = CONTRACTS["driving"].reward


def speeding(progress: Any, limit: float) -> Any:
    """What makes the reward of `progress` fall, as fast as it rose, above `limit` [m/s]; a number, or an array."""
    return 2.0 * np.maximum(progress - REWARD.progress * limit / REWARD.reference_speed, 0.0)


def check_ego(observations: gym.Space) -> None:
    """`ValueError` if observations of that space do not hold the ego vector under "ego"."""
    if not (isinstance(observations, gym.spaces.Dict) and "ego" in observations.spaces):
        raise ValueError(
            f'targets need observations of obs_type "dict" or "classes", with "ego"; these are {observations}'
        )


class RayObservation(gym.ObservationWrapper):
    """`ray_features`, (SIZE,) float32, in place of observations of obs_type "dict"; `ValueError` for others."""

    def __init__(self, env: gym.Env):
        super().__init__(env)
        self.observation_space = flat_space(env.observation_space)
        self._rays, self._began = RayFeatures(1), True

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's."""
        self._began = True
        return super().reset(seed=seed, options=options)

    def observation(self, observation: Mapping[str, np.ndarray]) -> np.ndarray:
        """The features of the present observation, which is remembered."""
        row = {name: np.asarray(value)[None] for name, value in observation.items()}
        features = self._rays.update(row, ONE_ROW & self._began)[0]
        self._began = False
        return features


class TargetActions(gym.Wrapper):
    """Targets [sideways, speed] in [-1, 1], which `policies.follow` carries out, in place of actions.

    `ValueError` for observations without the ego vector.
    """

    def __init__(self, env: gym.Env):
        super().__init__(env)
        check_ego(env.observation_space)
        self._ego = np.zeros(len(EGO_FIELDS), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._ego = np.array(observation["ego"])
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the environment's, `action` (2,) being targets."""
        observation, *rest = self.env.step(follow(np.asarray(action, np.float32), self._ego))
        self._ego = np.array(observation["ego"])
        return observation, *rest


class UncertaintyPenalty(gym.Wrapper):
    """Reward minus `weight` times the model's uncertainty about the step (MOPO, arXiv 2005.13239); 0 in a twin."""

    def __init__(self, env: gym.Env, weight: float):
        super().__init__(env)
        self.weight = weight

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As the environment's."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, float(reward) - self.weight * info["uncertainty"], terminated, truncated, info


class CostAsReward(gym.Wrapper):
    """Reward minus `weight` times the cost of the step."""

    def __init__(self, env: gym.Env, weight: float = 1.0):
        super().__init__(env)
        self.weight = weight

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As the environment's."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, float(reward) - self.weight * info["cost"], terminated, truncated, info


class SpeedLimit(gym.Wrapper):
    """Reward that falls again where the ego makes more than `limit` [m/s] along the route.

    The contract's pays for speed up to 15 m/s, so well that a crash now and then is worth it.
    """

    def __init__(self, env: gym.Env, limit: float):
        super().__init__(env)
        self.limit = limit

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As the environment's."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        reward = float(reward) - float(speeding(info_value(info, "reward_terms.progress"), self.limit))
        return observation, reward, terminated, truncated, info


class DiscreteActions(gym.ActionWrapper):
    """The 30 actions of `spec.DISCRETE_ACTIONS`, or your own, on an environment with continuous ones.

    Args:
        env: with actions `[steer, throttle_brake]`.
        actions: (n, 2) numbers in [-1, 1].

    Raises:
        ValueError: for actions of another shape, or out of range.
    """

    def __init__(self, env: gym.Env, actions: np.ndarray = DISCRETE_ACTIONS):
        super().__init__(env)
        actions = np.asarray(actions, np.float32)
        if actions.ndim != 2 or actions.shape[1] != 2 or not (np.abs(actions) <= 1).all():
            raise ValueError(f"actions must be (n, 2) numbers in [-1, 1], got {actions.shape}: {actions.tolist()}")
        self.actions = actions
        self.action_space = gym.spaces.Discrete(len(actions))

    def action(self, action: Any) -> np.ndarray:
        """(2,) float32 for an index."""
        return self.actions[int(action)].copy()


class SafetyGymnasium(gym.Wrapper):
    """Steps as Safety-Gymnasium's: observation, reward, cost, terminated, truncated, info.

    For libraries of safe reinforcement learning that were written for it. What wraps this one must expect six values.
    """

    def step(self, action: Any) -> tuple[Any, float, float, bool, bool, dict[str, Any]]:  # type: ignore[override]
        """One clock step, with its cost in {0, 1} beside the reward."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, float(reward), float(info["cost"]), terminated, truncated, info


class Curriculum(gym.Wrapper):
    """Begins episodes in kinds of places whose shares change during training.

    Args:
        env: an environment whose `reset` takes the option "scenario".
        stages: from which step of this environment on, which of `spec.SCENARIO_TAGS` with which weight; the first
            begins at 0. Episodes that are reset with options of their own begin where those say.

    Raises:
        ValueError: for an unknown tag, a weight that is negative or none that is positive, or no stage at 0.
    """

    def __init__(self, env: gym.Env, stages: Mapping[int, Mapping[str, float]]):
        super().__init__(env)
        if 0 not in stages:
            raise ValueError(f"no stage begins at step 0: they begin at {sorted(stages)}")
        for weights in stages.values():
            for tag in weights:
                if tag not in SCENARIO_TAGS:
                    raise unknown("scenario", tag, SCENARIO_TAGS)
            if not (min(weights.values(), default=0.0) >= 0 and sum(weights.values()) > 0):
                raise ValueError(f"weights must not be negative, and one must be positive: {dict(weights)}")
        self._stages = sorted(stages.items())
        self._steps = 0
        self._rng = np.random.default_rng()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's, in a place that the present stage draws; `seed` determines the draws that follow."""
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        if not options:
            weights = [stage for first, stage in self._stages if first <= self._steps][-1]
            share = np.array(list(weights.values()), float)
            options = {"scenario": str(self._rng.choice(list(weights), p=share / share.sum()))}
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the environment's."""
        self._steps += 1
        return self.env.step(action)
