"""What actors decide: likelihoods and entropies against torch's own, and draws as often as they say."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Categorical, Normal

from learned_sim_env.agents.actor_critic.actors import Bounded, OneOf, Spread, decision, drawn_noise

GENERATOR = torch.Generator().manual_seed(0)


def test_spreads():
    spread = Spread(0.1, 1.0, 0.4)
    assert spread.of(torch.tensor([0.0, -100.0, 100.0])).tolist() == pytest.approx([0.4, 0.1, 1.0])
    with pytest.raises(ValueError, match="must rise"):
        Spread(0.1, 0.3, 0.4)


def test_bounded_numbers():
    numbers = torch.randn(5, 4, generator=GENERATOR)
    actor = Bounded(numbers, Spread())
    normal = Normal(numbers[:, :2].tanh(), Spread().of(numbers[:, 2:]))
    drawn = actor.draw(drawn_noise("targets", 5, GENERATOR))
    torch.testing.assert_close(actor.log_prob(drawn), normal.log_prob(drawn).sum(-1))
    torch.testing.assert_close(actor.entropy(), normal.entropy().sum(-1))
    assert torch.equal(actor.draw(torch.zeros(5, 2)), numbers[:, :2].tanh())


def test_log_probabilities_stay_finite_at_the_bounds():
    actor = Bounded(torch.tensor([[50.0, -50.0, -50.0, -50.0]]), Spread())
    assert actor.mean.tolist() == [[1.0, -1.0]]
    assert actor.log_prob(actor.draw(torch.tensor([[3.0, -3.0]]))).abs() < 20


def test_one_of_many():
    logits = torch.randn(1, 30, generator=GENERATOR)
    actor = OneOf(logits.expand(20_000, -1))
    likely = 0.99 * logits.softmax(-1)[0] + 0.01 / 30
    drawn = actor.draw(drawn_noise("discrete", 20_000, GENERATOR))
    assert (torch.bincount(drawn, minlength=30) / 20_000 - likely).abs().max() < 0.01
    categorical = Categorical(likely)
    torch.testing.assert_close(actor.log_prob(drawn)[:9], categorical.log_prob(drawn[:9]))
    torch.testing.assert_close(actor.entropy()[0], categorical.entropy())


def test_held_noise_decides_alike():
    numbers, noise = torch.randn(3, 30, generator=GENERATOR), drawn_noise("discrete", 3, GENERATOR)
    assert torch.equal(*(decision("discrete", numbers, Spread()).draw(noise) for _ in range(2)))
