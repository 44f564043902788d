"""Agreement of two rankings, on cases that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.reinforcement.matched import DrivenStretches
from learned_sim_env.reinforcement.ranking import mmrv, pearson, rank, repeatability


def driven(reward):
    reward = np.array(reward, float)
    return DrivenStretches(reward, reward > 2, reward * 0, np.ones(len(reward), int), reward, ("",) * len(reward))


def test_maximum_rank_violation_by_hand():
    twin = np.array([1.0, 2.0, 5.0])
    assert mmrv(np.array([10.0, 20.0, 30.0]), twin) == 0.0
    # The dream swaps the first two, which are 1 apart, and leaves the third.
    assert mmrv(np.array([20.0, 10.0, 30.0]), twin) == pytest.approx((1 + 1 + 0) / 3)
    assert mmrv(np.array([30.0, 20.0, 10.0]), twin) == pytest.approx((4 + 3 + 4) / 3)


def test_pearson_as_numpys():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3, 9))
    np.testing.assert_allclose(pearson(x, y), [np.corrcoef(a, b)[0, 1] for a, b in zip(x, y)])
    assert np.isnan(pearson(np.ones(4), np.arange(4.0)))


def test_the_same_returns_are_the_same_ranking():
    rng = np.random.default_rng(0)
    sides = {
        str(i): (driven(np.repeat(v, 2)), driven(v))
        for i, v in enumerate(rng.normal(size=(6, 10)) + np.arange(6)[:, None])
    }
    found = rank(sides, "reward")
    assert found.pearson.value == found.spearman.value == pytest.approx(1.0)
    assert found.mmrv.value == 0 and np.abs(found.bias.value).max() < 1e-12
    assert found.names == tuple("012345")


def test_a_simulator_agrees_with_itself_as_far_as_chance_allows():
    rng = np.random.default_rng(0)
    quality = np.linspace(0, 20, 100)[:, None]
    assert repeatability(quality + np.zeros((100, 6))) == pytest.approx(1.0)
    assert abs(repeatability(rng.normal(size=(100, 60)))) < 0.4
    # What it foretells from 40 moments is what 40 others give.
    noisy = quality + 30 * rng.normal(size=(100, 80))
    ranks = [np.argsort(np.argsort(half.mean(1))) for half in (noisy[:, :40], noisy[:, 40:])]
    assert repeatability(noisy[:, :40]) == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=0.15)
    assert np.isnan(repeatability(quality))


def test_repeats_belong_to_their_moment():
    dream, twin = driven([0, 2, 10, 14]), driven([1, 12])
    others = {"b": (driven([0, 0, 0, 0]), driven([0, 0])), "c": (driven([5] * 4), driven([5, 5]))}
    found = rank({"a": (dream, twin), **others}, "reward")
    assert found.dream.value[0] == found.twin.value[0] == 6.5
    # Whatever moments are drawn, both sides draw the same: the dream's means of moments equal the twin's.
    assert found.bias.low[0] == found.bias.high[0] == 0.0


def test_a_reversed_dream_is_told():
    values = np.arange(8.0)[:, None] + np.zeros((8, 5))
    found = rank({str(i): (driven(-v), driven(v)) for i, v in enumerate(values)}, "reward")
    assert found.spearman.value == pytest.approx(-1.0) and found.mmrv.value > 4
    with pytest.raises(ValueError, match="2 policies cannot be ranked"):
        rank({"a": (driven([1]), driven([1])), "b": (driven([2]), driven([2]))}, "reward")
