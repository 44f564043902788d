"""What holds of every checkpoint that was trained, whatever its architecture."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import numpy as np


def check_environment(checkpoint: Path) -> None:
    """Its environment shows what its spaces say, and a seed repeats it."""
    env = gym.make("LearnedDriving-v0", checkpoint=str(checkpoint))
    first, _ = env.reset(seed=3)
    assert env.observation_space.contains(first)
    steps = [env.step(np.array([0.1, 0.5], np.float32)) for _ in range(3)]
    assert all(env.observation_space.contains(observation) for observation, *_ in steps)
    env.reset(seed=3)
    again = [env.step(np.array([0.1, 0.5], np.float32)) for _ in range(3)]
    assert [reward for _, reward, *_ in steps] == [reward for _, reward, *_ in again]
    env.close()
