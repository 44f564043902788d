"""What learning from cameras is shown: pictures, ego and route, and what its value network alone may know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import batch_space

from learned_sim_env.drivers.camera_network import CAMERAS, HEIGHT, VECTORS, WIDTH, abreast, closeness
from learned_sim_env.environments.observations import take
from learned_sim_env.rendering.rays import ANGLES, TARGETS
from learned_sim_env.spec import CONTRACTS

# Keys of its observations beside the ego vector and the route.
PICTURES, CLOSENESS = "pictures", "closeness"


def modalities(pictures: bool, privileged: bool) -> tuple[str, ...]:
    """Those of the contract "driving-camera" that an environment has to show `VectorCameraObservation`."""
    return (*(CAMERAS if pictures else ()), *VECTORS, *(("bev",) if privileged else ()))


class VectorCameraObservation(gym.vector.VectorWrapper):
    """Observations for `camera_policy.CameraActorCritic`, of an environment with the modalities that `modalities` says.

    "ego" (B, 6) and "route" (B, 10, 2) float32; where there are cameras, "pictures" (B, cameras, HEIGHT, WIDTH, 3)
    uint8; where there is "bev", "closeness" (B, targets, angles) float32 of it, which no policy acts by.
    """

    def __init__(self, env: gym.vector.VectorEnv):
        super().__init__(env)
        given, contract = env.single_observation_space, CONTRACTS["driving-camera"]
        names = tuple(given) if isinstance(given, gym.spaces.Dict) else ()
        self._pictures, self._privileged = CAMERAS[0] in names, "bev" in names
        wanted = contract.observation_space(names=modalities(self._pictures, self._privileged))
        if given != wanted:
            raise ValueError(f'a policy of cameras needs observations {wanted} of obs_type "dict"; these are {given}')
        spaces: dict[str, gym.Space] = {name: contract.modality(name).space for name in VECTORS}
        if self._pictures:
            spaces[PICTURES] = gym.spaces.Box(0, 255, (len(CAMERAS), HEIGHT, WIDTH, 3), np.uint8)
        if self._privileged:
            spaces[CLOSENESS] = gym.spaces.Box(0.0, 1.0, (len(TARGETS), len(ANGLES)), np.float32)
        self.single_observation_space = gym.spaces.Dict(spaces)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's."""
        observations, infos = self.env.reset(seed=seed, options=options)
        return self._shown(observations), infos

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """As the environment's; `final_obs` are shown alike."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        over = np.flatnonzero(terminated | truncated)
        if "final_obs" in infos and len(over):
            final = np.full(self.num_envs, None, dtype=object)
            for i in over:
                last = take(infos["final_obs"], int(i))
                final[i] = take(self._shown({name: value[None] for name, value in last.items()}), 0)
            infos = {**infos, "final_obs": final}
        return self._shown(observations), rewards, terminated, truncated, infos

    def _shown(self, observations: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        shown = {name: observations[name] for name in VECTORS}
        if self._pictures:
            shown[PICTURES] = abreast(observations)
        if self._privileged:
            shown[CLOSENESS] = closeness(observations["bev"])
        return shown
