"""Learn to drive in the dream with Stable-Baselines3's PPO, on 64 rows at once. Needs [rl]."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import tyro
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy

from learned_sim_env.reinforcement import (
    Sb3VecEnv,
    VectorCostAsReward,
    VectorRayObservation,
    VectorTargetActions,
    exported,
)


@dataclass(frozen=True)
class Args:
    """Train, then write a policy for `learned-sim drive --policy` and `evaluate_in_twin.py`."""

    steps: int = 100_000
    """Of the environment, over all rows."""
    rows: int = 64
    """Episodes that advance together."""
    horizon: int = 100
    """Steps of an episode: the dream is near the truth for some seconds."""
    seed: int = 0
    """Of everything."""
    out: Path = Path("runs/ppo.safetensors")
    """Policy to write."""


def make_env(args: Args, rows: int) -> Sb3VecEnv:
    """Rows of the dream for Stable-Baselines3."""
    env = gym.make_vec(
        "learned_sim_env:LearnedDriving-v0",
        num_envs=rows,
        max_episode_steps=args.horizon,
        autoreset_mode="SameStep",
        dtype="bfloat16",
    )
    return Sb3VecEnv(VectorRayObservation(VectorCostAsReward(VectorTargetActions(env), 0.5)))


def main(args: Args) -> None:
    """Train, look, write."""
    env = make_env(args, args.rows)
    settings = {"n_steps": max(2048 // args.rows, 2), "batch_size": 256, "gamma": 0.97, "seed": args.seed}
    policy = {"net_arch": [128, 128], "log_std_init": -0.7}
    model = PPO("MlpPolicy", env, policy_kwargs=policy, device="cpu", verbose=1, **settings)
    model.learn(args.steps)
    mean, deviation = evaluate_policy(model, env, n_eval_episodes=args.rows, warn=False)
    print(f"return in the dream over {args.horizon} steps: {mean:.1f} +- {deviation:.1f}")
    exported(model, {"steps": args.steps, "seed": args.seed}, targets=True).save(args.out)
    print(f"written: {args.out}")
    env.close()


if __name__ == "__main__":
    main(tyro.cli(Args))
