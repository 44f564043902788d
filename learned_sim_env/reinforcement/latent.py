"""A world model's features of what is really seen, so that a policy on features can drive a dream and a simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from learned_sim_env.imagination.filter import Filter
from learned_sim_env.rendering.palette import classes_of
from learned_sim_env.world_model.checkpoint import Checkpoint, from_pretrained


class LatentObservation(gym.Wrapper):
    """Features of the posterior, (latent_size,) float32, in place of observations of obs_type "dict".

    The world model filters: it takes in every observation and the action that led to it, and tells its features. On a
    twin it is what obs_type "latent" does. On a dream it sees the drawn pictures as if they were real; obs_type
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
        if checkpoint.model.observes != ("bev", "ego"):
            raise ValueError(
                f"checkpoint {checkpoint.name} observes {', '.join(checkpoint.model.observes)}, which observations of "
                'obs_type "dict" do not all hold: make the environment with obs_type="latent" instead'
            )
        if env.observation_space != contract.observation_space("dict") or env.action_space != contract.action_space():
            raise ValueError(
                f"observations {env.observation_space} with actions {env.action_space} are not what the checkpoint "
                'takes: make the environment with obs_type="dict" and action_type="continuous"'
            )
        self._filter = Filter(checkpoint)
        self.observation_space = contract.observation_space("latent", self._filter.size)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As the environment's; the model begins knowing nothing."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._filter.begin(_classes(observation)), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As the environment's."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        latent = self._filter.go_on(_classes(observation), np.clip(action, -1.0, 1.0))
        return latent, reward, terminated, truncated, info


def _classes(observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """An observation by modality."""
    return {"bev": classes_of(observation["bev"]), "ego": observation["ego"]}
