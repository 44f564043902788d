"""Distributions over bins spaced by symexp: what is put in comes out, near 0 and far away."""

from __future__ import annotations

import math

import pytest
import torch

from learned_sim_env.agents.actor_critic.two_hot import SymexpTwoHot, symexp

NUMBERS = SymexpTwoHot()


def test_bins():
    assert symexp(torch.tensor([0.0, 1.0, -1.0])).tolist() == pytest.approx([0.0, math.e - 1, 1 - math.e])
    assert len(NUMBERS.bins) == 255 and NUMBERS.bins[127] == 0 and NUMBERS.bins[-1] == pytest.approx(math.exp(8) - 1)
    assert torch.equal(NUMBERS.bins, -NUMBERS.bins.flip(0)) and (NUMBERS.bins.diff() > 0).all()


def test_equal_logits_and_the_first_ones_mean_nothing():
    assert NUMBERS.mean(torch.zeros(3, 255)).tolist() == [0.0, 0.0, 0.0]
    assert NUMBERS.mean(NUMBERS.first).abs() < 1e-6
    likely = NUMBERS.first.softmax(-1) * NUMBERS.bins
    assert likely.abs().max() < 0.05


def test_what_is_farther_than_the_bins_counts_as_the_outermost():
    logits = torch.randn(1, 255, generator=torch.Generator().manual_seed(0))
    assert NUMBERS.loss(logits, torch.tensor([1e9])) == NUMBERS.loss(logits, NUMBERS.bins[-1:])


def test_the_loss_by_hand():
    three = SymexpTwoHot(3, math.log(2))  # bins -1, 0, 1
    logits = torch.tensor([[0.0, math.log(2), math.log(5)]])  # probabilities 1/8, 2/8, 5/8
    assert three.mean(logits).item() == pytest.approx(5 / 8 - 1 / 8)
    expected = -(0.75 * math.log(2 / 8) + 0.25 * math.log(5 / 8))
    assert three.loss(logits, torch.tensor([0.25])).item() == pytest.approx(expected)


@pytest.mark.parametrize("number", [0.0, 0.3, -7.5, 170.0, -2e3])
def test_what_is_learned_is_the_number(number):
    logits = torch.zeros(1, 255, requires_grad=True)
    optimizer = torch.optim.Adam([logits], 0.5)
    for _ in range(150):
        optimizer.zero_grad()
        NUMBERS.loss(logits, torch.tensor([number])).sum().backward()
        optimizer.step()
    assert NUMBERS.mean(logits.detach()).item() == pytest.approx(number, rel=0.02, abs=0.02)
