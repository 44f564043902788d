"""Learn to drive from three cameras, ego and route with Stable-Baselines3's `MultiInputPolicy`. Needs [rl]."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym
import tyro
from stable_baselines3 import PPO
from stable_baselines3.common.monitor import Monitor

from learned_sim_env.reinforcement import CostAsReward, TargetActions


@dataclass(frozen=True)
class Args:
    """Train, and say how the last episodes went."""

    env_id: str = "LearnedDrivingCamera-v0"
    """Any with cameras, a dream's or a simulator's, such as MetaDriveDrivingCamera-v0."""
    checkpoint: str | None = None
    """Another world model of cameras to dream in than the id's own: its folder."""
    steps: int = 20_000
    """Of the environment."""
    rollout: int = 512
    """Steps between updates."""
    horizon: int = 100
    """Steps of an episode."""
    seed: int = 0
    """Of everything."""


def main(args: Args) -> None:
    """Train."""
    dreamt = {} if args.checkpoint is None else {"checkpoint": args.checkpoint}
    env = gym.make(f"learned_sim_env:{args.env_id}", max_episode_steps=args.horizon, **dreamt)
    print("observations:", {name: space.shape for name, space in env.observation_space.items()})
    # What is decided is where in the lane and how fast; a crash costs more than a few brisk seconds are worth.
    env = Monitor(CostAsReward(TargetActions(env), 30.0))
    settings = {"n_steps": args.rollout, "batch_size": 64, "gamma": 0.97, "seed": args.seed}
    model = PPO("MultiInputPolicy", env, policy_kwargs={"log_std_init": -0.7}, device="cpu", verbose=1, **settings)
    model.learn(args.steps)
    print(f"return of the last episodes, less cost: {[round(r, 1) for r in env.get_episode_rewards()[-10:]]}")
    env.close()


if __name__ == "__main__":
    main(tyro.cli(Args))
