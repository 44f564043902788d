"""A critic begins at 0, learns returns, and its slow copy follows."""

from __future__ import annotations

import pytest
import torch

from learned_sim_env.agents.actor_critic.clipping import clip_adaptively
from learned_sim_env.agents.actor_critic.critic import Critic


def test_it_learns_returns_and_the_slow_copy_follows():
    torch.manual_seed(0)
    critic = Critic(4, (16,), rate=0.25, regulariser=0.1)
    inputs, returns = torch.eye(4), torch.tensor([-5.0, 0.0, 20.0, 300.0])
    assert critic(inputs).abs().max() < 1e-6
    optimizer = torch.optim.Adam([p for p in critic.parameters() if p.requires_grad], 0.03)
    for _ in range(150):
        optimizer.zero_grad()
        critic.loss(inputs, returns, critic.held(inputs)).mean().backward()
        optimizer.step()
        critic.follow()
    torch.testing.assert_close(critic(inputs).detach(), returns, rtol=0.05, atol=0.2)
    slow = critic.numbers.mean(critic.slow(inputs))
    torch.testing.assert_close(slow, returns, rtol=0.1, atol=0.5)


def test_the_slow_copy_goes_a_share_of_the_way():
    critic = Critic(2, (4,), rate=0.25)
    with torch.no_grad():
        critic.fast.output.bias.fill_(8.0)
    critic.follow()
    torch.testing.assert_close(critic.slow.output.bias, 0.75 * critic.numbers.first + 0.25 * 8.0)
    assert all(not weight.requires_grad for weight in critic.slow.parameters())


def test_gradients_are_held_in_proportion_to_weights():
    large, small, new = (torch.nn.Parameter(torch.tensor([3.0, 4.0]) * scale) for scale in (1.0, 0.01, 0.0))
    for weight in (large, small, new):
        weight.grad = torch.tensor([0.6, 0.8])
    clip_adaptively([large, small, new, torch.nn.Parameter(torch.ones(1))], 0.3)
    assert [float(weight.grad.norm()) for weight in (large, small, new)] == pytest.approx([1.0, 0.015, 0.0003])
