"""Intervals that cover what they promise, over episodes rather than windows."""

from __future__ import annotations

import numpy as np

from learned_sim_env.measures.bootstrap import Estimate, ratio, resample


def mean(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    return ratio(weights @ values, weights.sum(1))


def test_row_0_is_the_data_itself() -> None:
    weights = resample(np.array([0, 0, 1, 2]), 3, 50, seed=0)
    assert weights.shape == (51, 4)
    np.testing.assert_array_equal(weights[0], 1)
    np.testing.assert_array_equal(weights, resample(np.array([0, 0, 1, 2]), 3, 50, seed=0))


def test_windows_of_an_episode_go_together() -> None:
    weights = resample(np.array([0, 1, 0, 2, 1]), 3, 200, seed=1)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, 1], weights[:, 4])
    np.testing.assert_array_equal(weights[1:, [0, 1, 3]].sum(1), 3)


def test_intervals_cover_the_truth_although_windows_of_an_episode_are_alike() -> None:
    rng = np.random.default_rng(0)
    episode = np.arange(40).repeat(10)
    covered = 0
    for trial in range(200):
        values = rng.normal(size=40)[episode] + 0.1 * rng.normal(size=400)
        estimate = Estimate.of(mean(resample(episode, 40, 200, seed=trial), values))
        covered += bool(estimate.low <= 0 <= estimate.high)
    assert 0.88 <= covered / 200 <= 0.99


def test_replicates_in_which_a_metric_is_undefined_are_left_out() -> None:
    estimate = Estimate.of(np.array([[1.0, np.nan], [np.nan, np.nan], [2.0, np.nan]]))
    assert estimate.value[0] == 1.0
    assert estimate.low[0] == estimate.high[0] == 2.0
    assert np.isnan(estimate.low[1])
