"""Wrappers of vector environments: one array operation for all rows, whatever the autoreset mode."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from learned_sim_env.drivers.ray_features import SIZE, RayFeatures, flat_space
from learned_sim_env.drivers.route import follow
from learned_sim_env.environments.observations import take
from learned_sim_env.reinforcement.infos import of_step
from learned_sim_env.reinforcement.wrappers import check_ego, speeding
from learned_sim_env.spec import EGO_FIELDS


class VectorRayObservation(gym.vector.VectorWrapper):
    """`ray_features` in place of observations of obs_type "dict": (B, SIZE) float32; `ValueError` for others."""

    def __init__(self, env: gym.vector.VectorEnv):
        super().__init__(env)
        self.single_observation_space = flat_space(env.single_observation_space)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)
        self._mode = env.metadata["autoreset_mode"]
        self._rays = RayFeatures(env.num_envs)
        self._over = np.zeros(env.num_envs, bool)
        self._features = np.zeros((env.num_envs, SIZE), np.float32)  # of all rows now

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """As the environment's."""
        # Before, because some environments take the mask out of the options.
        began = (options or {}).get("reset_mask", np.ones(self.num_envs, bool))
        observations, infos = self.env.reset(seed=seed, options=options)
        rows = np.flatnonzero(began)
        self._features = self._features.copy()
        self._features[rows] = self._rays.begin({name: value[rows] for name, value in observations.items()}, rows)
        self._over = self._over & ~began
        return self._features, infos

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """As the environment's; `final_obs` are features as well."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        over = terminated | truncated
        if "final_obs" in infos and over.any():
            rows = np.flatnonzero(over)
            last = [take(infos["final_obs"], int(i)) for i in rows]
            stacked = {name: np.stack([o[name] for o in last]) for name in last[0]}
            dense = not isinstance(infos["final_obs"], np.ndarray)
            final = self._features.copy() if dense else np.full(self.num_envs, None, dtype=object)
            for i, row in zip(rows, self._rays.peek(stacked, rows)):
                final[i] = row
            infos = {**infos, "final_obs": final}
        began = over if self._mode is AutoresetMode.SAME_STEP else self._over
        if self._mode is AutoresetMode.DISABLED:
            began = np.zeros_like(over)
        self._over = over
        self._features = self._rays.update(observations, began)
        return self._features, rewards, terminated, truncated, infos


class VectorTargetActions(gym.vector.VectorWrapper):
    """Targets [sideways, speed] that a route follower carries out, in place of actions, see `TargetActions`."""

    def __init__(self, env: gym.vector.VectorEnv):
        super().__init__(env)
        check_ego(env.single_observation_space)
        self._ego = np.zeros((env.num_envs, len(EGO_FIELDS)), np.float32)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's."""
        observations, infos = self.env.reset(seed=seed, options=options)
        self._ego = np.array(observations["ego"])
        return observations, infos

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """As the environment's, `actions` (B, 2) being targets."""
        observations, *rest = self.env.step(follow(np.asarray(actions, np.float32), self._ego))
        self._ego = np.array(observations["ego"])
        return observations, *rest


class _Less(gym.vector.VectorWrapper):
    """Reward minus `weight` times what `key` of the infos was in the step."""

    key: str

    def __init__(self, env: gym.vector.VectorEnv, weight: float):
        super().__init__(env)
        self.weight = weight

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """As the environment's."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        rewards = rewards - self.weight * of_step(infos, self.key, terminated | truncated)
        return observations, rewards, terminated, truncated, infos


class VectorUncertaintyPenalty(_Less):
    """Reward minus `weight` times the model's uncertainty about the step (MOPO, arXiv 2005.13239)."""

    key = "uncertainty"


class VectorCostAsReward(_Less):
    """Reward minus `weight` times the cost of the step."""

    key = "cost"

    def __init__(self, env: gym.vector.VectorEnv, weight: float = 1.0):
        super().__init__(env, weight)


class VectorSpeedLimit(gym.vector.VectorWrapper):
    """Reward that falls again where the ego makes more than `limit` [m/s] along the route, see `SpeedLimit`."""

    def __init__(self, env: gym.vector.VectorEnv, limit: float):
        super().__init__(env)
        self.limit = limit

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """As the environment's."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        progress = of_step(infos, "reward_terms.progress", terminated | truncated)
        return observations, rewards - speeding(progress, self.limit), terminated, truncated, infos
