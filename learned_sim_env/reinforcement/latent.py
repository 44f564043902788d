"""A world model's features of what is really seen, so that a policy on features can drive a dream and a simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from learned_sim_env.imagination.inference import Inference
from learned_sim_env.rendering.palette import classes_of
from learned_sim_env.world_model.checkpoint import Checkpoint, from_pretrained


class LatentObservation(gym.Wrapper):
    """Features of the posterior, (latent_size,) float32, in place of observations of obs_type "dict".

    The world model filters: it takes in every observation and the action that led to it, and tells its features. On a
    twin that is the way to have features at all. On a dream it sees the drawn pictures as if they were real; obs_type
    "latent" gives the features of what is imagined, without drawing, which are not quite the same: a model that has
    seen nothing for a while knows less of what is near, and says how long it is ago.

    Args:
        env: with observations of obs_type "dict" and continuous actions, of the checkpoint's contract.
        checkpoint: name of a shipped checkpoint, a path, or a `Checkpoint`.

    Raises:
        ValueError: for other observations or actions.
    """

    def __init__(self, env: gym.Env, checkpoint: str | Path | Checkpoint = "bev-rssm"):
        super().__init__(env)
        if isinstance(checkpoint, str | Path):
            checkpoint = from_pretrained(checkpoint)
        contract = checkpoint.contract
        if env.observation_space != contract.observation_space("dict") or env.action_space != contract.action_space():
            raise ValueError(
                f"observations {env.observation_space} with actions {env.action_space} are not what the checkpoint "
                'takes: make the environment with obs_type="dict" and action_type="continuous"'
            )
        self._model = checkpoint.model
        self.observation_space = contract.observation_space("latent", self._model.latent_size)
        self._device = next(iter(self._model.initial(1).values())).device
        self._inference = Inference(self._device, rows=1)
        self._state: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's; the model begins knowing nothing."""
        observation, info = self.env.reset(seed=seed, options=options)
        with self._inference():
            self._state = self._model.initial(1)
        # The action that led here is part of what is observed.
        return self._filtered(observation, observation["ego"][2:4]), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the environment's."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._filtered(observation, np.clip(action, -1.0, 1.0)), reward, terminated, truncated, info

    def _filtered(self, observation: dict[str, np.ndarray], action: Any) -> np.ndarray:
        seen = {
            "semantic": torch.from_numpy(classes_of(observation["bev"])[None]).to(self._device),
            "ego": torch.from_numpy(np.asarray(observation["ego"], np.float32)[None].copy()).to(self._device),
        }
        led = torch.tensor(np.asarray(action, np.float32)[None], device=self._device)
        with self._inference():
            self._state = self._model.observe(self._state, led, seen)
            return self._model.features(self._state)[0].float().cpu().numpy().copy()
