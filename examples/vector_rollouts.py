"""Many episodes at once for reinforcement learning: latent observations, which are never drawn, and random actions."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import tyro


@dataclass(frozen=True)
class Args:
    """Roll out random actions in many rows of one environment."""

    rows: int = 64
    """Episodes that advance together."""
    steps: int = 200
    """Steps of each row."""
    seed: int = 0
    """Row i is seeded with this plus i."""


def main(args: Args) -> None:
    """Roll out and print."""
    envs = gym.make_vec("learned_sim_env:LearnedDriving-v0", num_envs=args.rows, obs_type="latent")
    envs.action_space.seed(args.seed)
    observations, _ = envs.reset(seed=args.seed)
    print(f"observations {observations.shape} {observations.dtype}, actions {envs.action_space.shape}")

    rewards = np.zeros(args.rows)
    costs = 0.0
    ends: Counter[str] = Counter()
    began = time.perf_counter()
    for _ in range(args.steps):
        observations, reward, terminated, truncated, infos = envs.step(envs.action_space.sample())
        rewards += reward
        costs += infos["cost"].sum()
        ends.update(infos["end_reason"][terminated | truncated])  # those rows begin anew at the next step
    seconds = time.perf_counter() - began
    envs.close()

    taken = args.rows * args.steps
    print(f"{taken} steps at {taken / seconds:,.0f} steps/s")
    print(f"reward {rewards.sum() / taken:.3f} and cost {costs / taken:.4f} a step")
    print("episodes ended by", ", ".join(f"{reason} {count}" for reason, count in ends.most_common()) or "nothing")


if __name__ == "__main__":
    main(tyro.cli(Args))
