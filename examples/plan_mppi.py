"""Drive by planning: at every step dream many futures from this very moment, and do what the good ones begin with."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import tyro

from learned_sim_env.drivers import RouteFollower
from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv


@dataclass(frozen=True)
class Args:
    """Model-predictive path integral control (MPPI) in the dream's latent space, which draws nothing."""

    steps: int = 50
    """To drive, at most."""
    plans: int = 64
    """Futures dreamt at every step."""
    horizon: int = 20
    """Steps of each."""
    temperature: float = 1.0
    """How much better a future must be to count more."""
    scenario: str = "curve"
    """Kind of place to begin at."""
    seed: int = 0
    """Of everything."""


def returns_of(env: gym.Env, plans: np.ndarray) -> np.ndarray:
    """Sum of rewards (K,) of plans (K, T, 2) from this moment, each with its own chance, up to its episode's end."""
    futures = LearnedDrivingVectorEnv.from_snapshot(
        env.unwrapped.snapshot(), len(plans), range(len(plans)), checkpoint=env.unwrapped.checkpoint, obs_type="latent"
    )
    total, running = np.zeros(len(plans)), np.ones(len(plans), bool)
    for actions in plans.swapaxes(0, 1):
        _, rewards, terminated, truncated, _ = futures.step(actions)
        total += running * rewards
        running &= ~(terminated | truncated)
    return total


def main(args: Args) -> None:
    """Plan, drive, print."""
    env = gym.make("learned_sim_env:LearnedDriving-v0", uncertainty_bound=float("inf"))
    observation, info = env.reset(seed=args.seed, options={"scenario": args.scenario})
    rng = np.random.default_rng(args.seed)
    mean = np.tile(RouteFollower.from_ego(observation["ego"])(observation["ego"]), (args.horizon, 1))
    rewards = []
    for _ in range(args.steps):
        # Noise that lasts: independent noise would cancel out.
        noise = np.repeat(rng.normal(size=(args.plans, -(-args.horizon // 5), 2)), 5, axis=1)[:, : args.horizon]
        plans = np.clip(mean + noise * [0.15, 0.4], -1, 1).astype(np.float32)
        plans[0] = np.clip(mean, -1, 1)
        value = returns_of(env, plans)
        weight = np.exp((value - value.max()) / args.temperature)
        mean = (weight[:, None, None] * plans).sum(0) / weight.sum()
        observation, reward, terminated, truncated, info = env.step(mean[0].astype(np.float32))
        rewards.append(float(reward))
        mean = np.concatenate([mean[1:], mean[-1:]])
        if terminated or truncated:
            break
    speed = observation["ego"][0]
    print(f"{len(rewards)} steps, return {sum(rewards):.1f}, {speed:.1f} m/s, {info['end_reason'] or 'still driving'}")
    env.close()


if __name__ == "__main__":
    main(tyro.cli(Args))
