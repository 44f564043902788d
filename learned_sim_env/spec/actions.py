"""Continuous and discrete actions."""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from learned_sim_env.spec.errors import unknown

ACTION_TYPES = ("continuous", "discrete")


def _think2drive_actions() -> np.ndarray:
    """The 30 discrete actions of Think2Drive (arXiv 2402.16720, table of actions) as [steer, throttle_brake]."""
    actions = [(0.0, -1.0)]
    for throttle, magnitudes in (
        (0.7, (0.1, 0.2, 0.3, 0.5)),
        (0.3, (0.1, 0.2, 0.3, 0.5, 0.7)),
        (0.0, (0.1, 0.3, 0.6, 1.0)),
    ):
        actions.append((0.0, throttle))
        for magnitude in magnitudes:
            actions += [(magnitude, throttle), (-magnitude, throttle)]
    return np.array(actions, dtype=np.float32)


# Shape (30, 2) float32: row i is what discrete action i means.
DISCRETE_ACTIONS = _think2drive_actions()
DISCRETE_ACTIONS.setflags(write=False)


def action_space(action_type: str = "continuous") -> gym.Space:
    """`[steer, throttle_brake]` in [-1, 1] (steer +1 is full right), or the 30 actions of `DISCRETE_ACTIONS`."""
    if action_type == "continuous":
        return gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
    if action_type == "discrete":
        return gym.spaces.Discrete(len(DISCRETE_ACTIONS))
    raise unknown("action_type", action_type, ACTION_TYPES)
