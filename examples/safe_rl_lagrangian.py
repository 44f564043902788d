"""Safe reinforcement learning: PPO whose price of cost rises until a budget is kept (a Lagrangian). Needs [rl]."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import tyro
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

from learned_sim_env.reinforcement import Sb3VecEnv, VectorCostAsReward, VectorRayObservation


@dataclass(frozen=True)
class Args:
    """Learn to drive while the cost of an episode stays within a budget."""

    steps: int = 100_000
    """Of the environment, over all rows."""
    rows: int = 64
    """Episodes that advance together."""
    budget: float = 0.2
    """Cost of an episode that is allowed on average."""
    rate: float = 0.5
    """How fast the price follows what is over or under it."""
    horizon: int = 100
    """Steps of an episode."""
    seed: int = 0
    """Of everything."""


class Price(BaseCallback):
    """Dual ascent: after every rollout the price of cost rises by what is over the budget, and never below 0."""

    def __init__(self, priced: VectorCostAsReward, args: Args):
        super().__init__()
        self.priced, self.args = priced, args
        self.costs: list[float] = []

    def _on_step(self) -> bool:
        self.costs += [info["episode"]["c"] for info in self.locals["infos"] if info]
        return True

    def _on_rollout_end(self) -> None:
        if not self.costs:
            return
        cost = float(np.mean(self.costs))
        self.priced.weight = max(0.0, self.priced.weight + self.args.rate * (cost - self.args.budget))
        print(f"{self.num_timesteps} steps: cost {cost:.2f} an episode, price {self.priced.weight:.2f}")
        self.costs = []


def main(args: Args) -> None:
    """Learn and print."""
    env = gym.make_vec(
        "learned_sim_env:LearnedDriving-v0",
        num_envs=args.rows,
        max_episode_steps=args.horizon,
        autoreset_mode="SameStep",
        dtype="bfloat16",
    )
    priced = VectorCostAsReward(env, weight=0.0)
    vec = Sb3VecEnv(VectorRayObservation(priced))
    settings = {"n_steps": max(2048 // args.rows, 2), "batch_size": 256, "gamma": 0.97, "seed": args.seed}
    model = PPO(
        "MlpPolicy", vec, policy_kwargs={"net_arch": [128, 128], "log_std_init": -0.7}, device="cpu", **settings
    )
    model.learn(args.steps, callback=Price(priced, args))
    print(f"price of a step with cost, in the end: {priced.weight:.2f}")
    vec.close()


if __name__ == "__main__":
    main(tyro.cli(Args))
