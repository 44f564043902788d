"""Lambda-returns and their scale, against what is computed by hand."""

from __future__ import annotations

import pytest
import torch

from learned_sim_env.agents.actor_critic.returns import ReturnScale, lambda_returns


def test_lambda_returns_by_hand():
    rewards = torch.tensor([[1.0], [2.0], [3.0]])
    discounts = torch.tensor([[0.5], [0.5], [0.5]])
    values = torch.tensor([[10.0], [20.0], [40.0]])
    nowhere = torch.zeros(3, 1, dtype=torch.bool)
    # From the end: 3 + .5 * 40 = 23; 2 + .5 (.5 * 20 + .5 * 23) = 12.75; 1 + .5 (.5 * 10 + .5 * 12.75) = 6.6875.
    assert lambda_returns(rewards, discounts, values, nowhere, 0.5)[:, 0].tolist() == [6.6875, 12.75, 23.0]
    assert lambda_returns(rewards, discounts, values, nowhere, 0.0)[:, 0].tolist() == [6.0, 12.0, 23.0]
    assert lambda_returns(rewards, discounts, values, nowhere, 1.0)[:, 0].tolist() == [7.75, 13.5, 23.0]


def test_what_comes_after_a_cut_is_another_future():
    rewards, values = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[10.0], [20.0], [40.0]])
    cut = torch.tensor([[False], [True], [False]])
    found = lambda_returns(rewards, torch.full((3, 1), 0.5), values, cut, 1.0)[:, 0].tolist()
    assert found == [1 + 0.5 * (2 + 0.5 * 20), 2 + 0.5 * 20, 23.0]
    # Where an event has ended it, nothing comes.
    ended = torch.tensor([[0.5], [0.0], [0.5]])
    assert lambda_returns(rewards, ended, values, cut, 1.0)[:, 0].tolist() == [2.0, 2.0, 23.0]


def test_rows_are_alone():
    generator = torch.Generator().manual_seed(0)
    rewards, discounts, values = (torch.rand(5, 3, generator=generator) for _ in range(3))
    cut = torch.rand(5, 3, generator=generator) < 0.3
    together = lambda_returns(rewards, discounts, values, cut, 0.9)
    for row in range(3):
        alone = (x[:, row : row + 1] for x in (rewards, discounts, values, cut))
        assert torch.equal(lambda_returns(*alone, 0.9), together[:, row : row + 1])


def test_the_scale_is_an_average_of_ranges():
    scale = ReturnScale(rate=0.25)
    assert scale.update(torch.linspace(0, 100, 101)) == pytest.approx(90.0)
    assert scale.update(torch.linspace(0, 200, 101)) == pytest.approx(0.75 * 90 + 0.25 * 180)
    assert ReturnScale().update(torch.linspace(0, 1e-3, 101)) == 1.0
