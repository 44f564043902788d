"""What is decided becomes an action, and recorded actions become what would have been decided."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.agents.actor_critic.actors import OneOf, OneOfEach, Spread, decision, drawn_noise
from learned_sim_env.agents.decisions import (
    ACTION_KINDS,
    BINS,
    CENTRES,
    carried_out,
    centred,
    decided_by,
    likeliest,
)
from learned_sim_env.drivers.route import follow
from learned_sim_env.spec import DISCRETE_ACTIONS

EGO = np.array([[5.0, 0, 0, 0, 0.5, 0.1], [8.0, 0, 0, 0, -0.3, -0.05]], np.float32)
WANTED = np.array([[2.0, -0.5], [-0.3, 0.2]], np.float32)


def test_what_is_decided_is_carried_out():
    bounded = WANTED.clip(-1, 1)
    np.testing.assert_array_equal(carried_out("actions", WANTED, EGO), bounded)
    np.testing.assert_array_equal(carried_out("targets", WANTED, EGO), follow(bounded, EGO))
    np.testing.assert_array_equal(carried_out("discrete", np.array([7, 2]), EGO), DISCRETE_ACTIONS[[7, 2]])
    bins = np.array([[0, 20], [10, 13]])
    np.testing.assert_allclose(CENTRES[bins], [[-1, 1], [0, 0.09]], atol=1e-6)
    np.testing.assert_array_equal(carried_out("action-bins", bins, EGO), CENTRES[bins])
    np.testing.assert_array_equal(carried_out("target-bins", bins, EGO), follow(CENTRES[bins], EGO))


@pytest.mark.parametrize("kind", ACTION_KINDS)
def test_recorded_actions_are_carried_out_again(kind):
    """Up to what the kind of decision can tell apart."""
    targets = np.array([[0.2, 0.3], [-0.1, 0.45]], np.float32)
    actions = follow(targets, EGO)
    assert np.abs(actions).max() < 1
    again = carried_out(kind, decided_by(kind, actions, EGO), EGO)
    exact = {"targets": 1e-5, "actions": 1e-6, "target-bins": 0.4, "action-bins": 0.1, "discrete": 0.5}[kind]
    np.testing.assert_allclose(again, actions, atol=exact)


@pytest.mark.parametrize("kind", ACTION_KINDS)
def test_a_network_begins_about_where_it_is_told(kind):
    numbers = centred(kind, (0.0, 0.3))[None]
    assert numbers.shape == (1, ACTION_KINDS[kind])
    if kind == "discrete":
        return
    found = likeliest(kind, numbers)
    values = CENTRES[found.numpy()] if kind.endswith("bins") else found.numpy()
    np.testing.assert_allclose(values, [[0.0, 0.3]], atol=0.07)


def test_choices_are_drawn_as_likely_as_they_are():
    logits = torch.zeros(1, 2 * BINS)
    logits[0, 3], logits[0, BINS + 5] = 2.0, 1.0
    actor = decision("action-bins", logits, Spread())
    assert isinstance(actor, OneOfEach)
    likely = actor.logs.exp()
    torch.testing.assert_close(likely.sum(-1), torch.ones(1, 2))
    rows = 4000
    many = decision("action-bins", logits.expand(rows, -1), Spread())
    drawn = many.draw(drawn_noise("action-bins", rows, torch.Generator().manual_seed(0)))
    assert drawn.shape == (rows, 2)
    for part, choice in ((0, 3), (1, 5)):
        share = (drawn[:, part] == choice).float().mean()
        assert float(share) == pytest.approx(float(likely[0, part, choice]), abs=0.02)
    one = torch.tensor([[3, 5]])
    torch.testing.assert_close(actor.log_prob(one), (likely[0, 0, 3] * likely[0, 1, 5]).log()[None])


def test_a_logarithm_has_a_bound_whatever_the_network_says():
    sure = torch.zeros(1, 30)
    sure[0, 4] = 1e4
    other = OneOf(sure).log_prob(torch.tensor([7]))
    torch.testing.assert_close(other, torch.tensor([np.log(0.01 / 30)], dtype=torch.float32))


def test_divergence_and_entropy_by_hand():
    a, b = (OneOf(torch.tensor([row])) for row in ([0.0, 1.0], [0.5, -0.5]))
    p, q = a.logs.exp()[0, 0], b.logs.exp()[0, 0]
    torch.testing.assert_close(a.divergence(b)[0], (p * (p / q).log()).sum())
    torch.testing.assert_close(a.entropy()[0], -(p * p.log()).sum())
    assert float(a.divergence(a)) == 0
