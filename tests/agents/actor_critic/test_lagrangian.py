"""The price of cost, against what is computed by hand."""

from __future__ import annotations

import pytest

from learned_sim_env.agents.actor_critic.lagrangian import MultiplierSettings, multiplier


def test_pid_by_hand():
    pid = multiplier(MultiplierSettings(kp=0.1, ki=0.01, kd=1.0))
    assert pid.update(2.0) == pytest.approx(0.1 * 2 + 0.01 * 2 + 1.0 * 2)
    assert pid.update(3.0) == pytest.approx(0.1 * 3 + 0.01 * 5 + 1.0 * 1)
    assert pid.update(1.0) == pytest.approx(0.1 * 1 + 0.01 * 6)  # a fall earns nothing
    assert pid.update(-9.0) == 0.0
    assert pid.update(1.0) == pytest.approx(0.1 * 1 + 0.01 * 1 + 1.0 * 10)  # a sum below 0 is forgotten


def test_augmented_lagrangian_by_hand():
    price = multiplier(MultiplierSettings("augmented", lam=0.5, mu=0.1, growth=1.0))
    assert price.penalty(2.0) == pytest.approx(0.5 * 2 + 0.05 * 4)
    assert price.penalty(-6.0) == pytest.approx(-0.25 / 0.2)  # .5 - .6 is below 0
    assert price.update(2.0) == pytest.approx(0.5 + 0.1 * 2)
    assert price.update(-1.0) == pytest.approx(0.7 - 0.2 * 1)  # mu has doubled
    assert price.update(-9.0) == 0.0
    assert price.update(1.0) == pytest.approx(0.8)
    assert price.update(1.0) == pytest.approx(1.8)  # mu is at most 1


def test_the_price_is_the_slope_of_the_penalty():
    settings = MultiplierSettings("augmented", lam=0.3, mu=0.2)
    for excess in (-2.0, -1.0, 0.5):
        price, step = multiplier(settings), 1e-4
        slope = (price.penalty(excess + step) - price.penalty(excess - step)) / (2 * step)
        assert price.update(excess) == pytest.approx(slope, abs=1e-6)


def test_unknown_kinds():
    with pytest.raises(ValueError, match="Did you mean 'pid'"):
        multiplier(MultiplierSettings("pdi"))
