"""PPO in one file, in the manner of CleanRL, on `gym.make_vec`: no library but torch."""

from __future__ import annotations

import time
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import torch
import tyro
from torch import nn
from torch.distributions import Normal

from learned_sim_env.reinforcement import VectorRayObservation, of_step


@dataclass(frozen=True)
class Args:
    """Learn in the dream."""

    steps: int = 100_000
    """Of the environment, over all rows."""
    rows: int = 64
    """Episodes that advance together."""
    length: int = 32
    """Steps of each row between updates."""
    epochs: int = 10
    """Times each of them is learned from."""
    batch: int = 256
    """Steps a gradient is taken over."""
    learning_rate: float = 3e-4
    """Of Adam."""
    gamma: float = 0.97
    """Discount a step."""
    gae_lambda: float = 0.95
    """Of generalised advantage estimation."""
    clip: float = 0.2
    """How far the policy may move in an update."""
    horizon: int = 100
    """Steps of an episode."""
    seed: int = 0
    """Of everything."""


class Agent(nn.Module):
    """Actor and critic, apart."""

    def __init__(self, inputs: int, actions: int):
        super().__init__()
        self.critic = nn.Sequential(
            nn.Linear(inputs, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, 1)
        )
        self.actor = nn.Sequential(
            nn.Linear(inputs, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, actions)
        )
        self.log_std = nn.Parameter(torch.full((actions,), -0.7))
        with torch.no_grad():
            self.actor[-1].weight.mul_(0.01)
            self.actor[-1].bias.copy_(torch.tensor([0.0, 0.3]))  # a car that never moves learns nothing

    def act(self, seen: torch.Tensor) -> Normal:
        """What it would do."""
        return Normal(self.actor(seen), self.log_std.exp())


def main(args: Args) -> None:
    """Learn and print."""
    torch.manual_seed(args.seed)
    # In mode SameStep the last observation of an episode is in infos, so that time limits can be told from ends.
    env = gym.make_vec(
        "learned_sim_env:LearnedDriving-v0",
        num_envs=args.rows,
        max_episode_steps=args.horizon,
        autoreset_mode="SameStep",
    )
    env = VectorRayObservation(env)
    agent = Agent(env.single_observation_space.shape[0], env.single_action_space.shape[0])
    adam = torch.optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5)
    shape = (args.length, args.rows)
    seen, actions = torch.zeros(*shape, *env.single_observation_space.shape), torch.zeros(*shape, 2)
    chances, values, rewards, over = (torch.zeros(shape) for _ in range(4))
    now = torch.from_numpy(env.reset(seed=args.seed)[0])
    began = time.perf_counter()
    for update in range(1, args.steps // (args.length * args.rows) + 1):
        ends: list[str] = []
        with torch.no_grad():
            for t in range(args.length):
                policy = agent.act(now)
                seen[t], actions[t], values[t] = now, policy.sample(), agent.critic(now)[:, 0]
                chances[t] = policy.log_prob(actions[t]).sum(-1)
                then, reward, terminated, truncated, infos = env.step(actions[t].numpy())
                reward, done = 0.1 * torch.from_numpy(reward).float(), terminated | truncated
                if truncated.any():  # what would have come after the time limit
                    last = torch.from_numpy(np.stack(list(infos["final_obs"][truncated])))
                    reward[torch.from_numpy(truncated)] += args.gamma * agent.critic(last)[:, 0]
                ends += list(of_step(infos, "end_reason", done)[done])
                rewards[t], over[t] = reward, torch.from_numpy(done).float()
                now = torch.from_numpy(then)
            advantages, gained, value = torch.zeros(shape), torch.zeros(args.rows), agent.critic(now)[:, 0]
            for t in reversed(range(args.length)):
                goes_on = 1 - over[t]
                error = rewards[t] + args.gamma * goes_on * value - values[t]
                advantages[t] = gained = error + args.gamma * args.gae_lambda * goes_on * gained
                value = values[t]
        flat = [v.flatten(0, 1) for v in (seen, actions, chances, advantages, advantages + values)]
        for _ in range(args.epochs):
            for rows in torch.randperm(len(flat[0])).split(args.batch):
                s, a, chance, advantage, target = (v[rows] for v in flat)
                ratio = (agent.act(s).log_prob(a).sum(-1) - chance).exp()
                advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
                bounded = ratio.clamp(1 - args.clip, 1 + args.clip)
                gain = torch.minimum(ratio * advantage, bounded * advantage).mean()
                loss = 0.5 * (agent.critic(s)[:, 0] - target).square().mean() - gain
                adam.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
                adam.step()
        steps = update * args.length * args.rows
        speed = steps / (time.perf_counter() - began)
        crashed = sum(end in ("collision", "off_road") for end in ends) / max(len(ends), 1)
        print(
            f"{steps} steps, {speed:,.0f}/s: reward {10 * rewards.mean():.2f} a step, {crashed:.0%} of ends are crashes"
        )
    env.close()


if __name__ == "__main__":
    main(tyro.cli(Args))
