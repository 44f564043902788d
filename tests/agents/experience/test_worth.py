"""What a step is worth, by hand, imagined and recorded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from learned_sim_env.agents.experience.worth import of_imagined, of_recorded
from learned_sim_env.agents.settings import TaskSettings
from learned_sim_env.imagination import Imagined
from learned_sim_env.spec import Contract
from tests.agents.line_world import BORDER, GOAL, line_episodes

REWARD = Contract().reward


def imagined(progress: float, events: list[float], uncertainty: float = 0.0) -> Imagined:
    """One step; events: probabilities of a collision, of leaving the road, of arrival, of driving the wrong way."""
    likely = np.array([events], np.float32)
    terms = np.array([[progress, -0.1, 0, 0]], np.float32)
    nothing = np.zeros((1, 6), np.float32)
    doubt = np.array([uncertainty], np.float32)
    return Imagined(nothing, nothing[:, :3], terms, likely > 0.5, likely, doubt, np.ones(1, bool), True)


def test_crashes_and_driving_against_the_traffic_have_weights_of_their_own():
    settings = TaskSettings(speed_limit=0, cost_weight=10.0, wrong_way_weight=3.0, penalty=2.0)
    found = of_imagined(imagined(0.5, [0.5, 0.2, 0.0, 0.25], uncertainty=0.1), Contract(), settings)
    crash, any_cost = 1 - 0.5 * 0.8, 1 - 0.5 * 0.8 * 0.75
    reward = 0.4 - 0.5 * REWARD.collision - 0.2 * REWARD.off_road
    np.testing.assert_allclose(found.reward, [reward], rtol=1e-5)
    np.testing.assert_allclose(found.cost, [any_cost], rtol=1e-5)
    np.testing.assert_allclose(found.worth, [reward - 10 * crash - 3 * (any_cost - crash) - 0.2], rtol=1e-5)
    np.testing.assert_allclose(found.goes_on, [0.5 * 0.8], rtol=1e-5)


def test_with_one_weight_it_is_that_of_the_wrapper():
    """`CostAsReward` of `learned-sim transfer` subtracts the cost as it is."""
    settings = TaskSettings(speed_limit=0, cost_weight=30.0, wrong_way_weight=30.0)
    found = of_imagined(imagined(0.5, [0.1, 0.2, 0.3, 0.4]), Contract(), settings)
    np.testing.assert_allclose(found.worth, found.reward - 30 * found.cost, rtol=1e-5)


def test_progress_pays_less_beyond_the_limit_of_speed():
    limit = 0.5 * REWARD.reference_speed
    at, beyond = (
        of_imagined(imagined(share * REWARD.progress, [0, 0, 0, 0]), Contract(), TaskSettings(speed_limit=limit)).worth
        for share in (0.5, 0.6)
    )
    np.testing.assert_allclose(at - beyond, 0.1 * REWARD.progress, rtol=1e-4)


def test_recorded_steps():
    data = line_episodes(count=2, steps=3)
    found = of_recorded(data, TaskSettings(speed_limit=0, cost_weight=7.0, wrong_way_weight=2.0))
    x = data.arrays["ego"][:, 0]
    np.testing.assert_allclose(found.worth, 1 - np.abs(x - GOAL) - 2.0 * (x > BORDER), atol=1e-6)
    assert (found.goes_on == 1).all()
    without = {n: v for n, v in data.arrays.items() if n not in ("rewards", "reward_terms", "cost_terms")}
    with pytest.raises(ValueError, match="no rewards to learn from"):
        of_recorded(replace(data, arrays=without), TaskSettings())
