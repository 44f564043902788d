"""Distances of sets of clips, on features that can be counted out."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.measures.frechet import (
    Whitening,
    clip_features,
    distances_of_halves,
    frechet_distance,
    motion_features,
)
from learned_sim_env.spec import SemanticClass as C


def test_frechet_distance_of_gaussians_is_the_known_one() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(40_000, 2)) * [1.0, 2.0]
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(a, a[::-1] + np.array([3.0, 4.0])) == pytest.approx(25.0)
    assert frechet_distance(a, 2 * a) == pytest.approx(1.0 + 4.0, rel=0.05)
    # Covariances that do not commute: by the eigenvalues of their product.
    cov_a, cov_b = np.cov(a.T), np.cov((a @ turn).T)
    roots = np.sqrt(np.linalg.eigvals(cov_a @ cov_b)).sum()
    assert frechet_distance(a, a @ turn) == pytest.approx(np.trace(cov_a + cov_b) - 2 * roots, abs=1e-2)


def test_whitened_features_have_unit_variance_and_constant_ones_are_left_out() -> None:
    real = np.random.default_rng(0).normal(size=(500, 6)) * [1, 10, 100, 1, 0, 1e-3] + 5
    real[:, 3] = real[:, 0]
    white = Whitening.of(real, most=10)(real)
    assert white.shape == (500, 4)
    np.testing.assert_allclose(np.cov(white.T, ddof=0), np.eye(4), atol=1e-6)
    assert Whitening.of(real, most=2)(real).shape == (500, 2)


def test_the_floor_of_the_distance_is_that_of_real_clips() -> None:
    rng = np.random.default_rng(0)
    episode = np.arange(30).repeat(10)
    real = rng.normal(size=(300, 8))
    clips = {"true": real, "model": rng.normal(size=(300, 8)), "still": 0.1 * real, "shifted": real + 2}
    found = distances_of_halves(clips, episode, "true", halvings=8, seed=0)
    middle = {name: np.median(d[:, 1]) for name, d in found.items()}
    assert middle["model"] == pytest.approx(middle["true"], rel=0.5)
    assert middle["still"] > 5 * middle["true"] and middle["shifted"] > 20 * middle["true"]
    same = {name: np.median(d[:, 0]) for name, d in found.items()}
    assert same["true"] == pytest.approx(0, abs=1e-9)
    assert same["model"] < same["still"] < same["shifted"]
    # A mean off by 2 in each of 8 features of unit variance.
    assert same["shifted"] == pytest.approx(32, rel=0.15)
    few = distances_of_halves({"true": real[:5]}, episode[:5], "true", halvings=2, seed=0)
    assert np.isnan(few["true"]).all()


def test_features_say_what_is_where_and_how_the_ego_moved() -> None:
    seen = np.zeros((1, 30, 64, 64), np.uint8)
    # At step 20 a car in the upper right cell, and half a cell of road below it.
    seen[0, 19, :16, 48:] = C.VEHICLE
    seen[0, 19, 16:24, 48:] = C.ROAD
    features = clip_features(seen).reshape(3, 16, 8)
    assert features[1, 3, C.VEHICLE] == 1 and features[1, 7, C.ROAD] == 0.5
    assert features[0, :, C.OFF_ROAD].tolist() == [1.0] * 16
    pose = np.zeros((1, 40, 3))
    pose[0, :, 0], pose[0, :, 2] = np.arange(1, 41), 0.1 * np.arange(40)
    x, y, heading, mean, change, spread, turning = motion_features(pose, np.linspace(0, 39, 40)[None])[0]
    assert (x, y, heading, mean, change) == pytest.approx((30, 0, 2.9, 14.5, 29))
    assert turning == pytest.approx(2.9, rel=1e-5) and spread == pytest.approx(np.arange(30).std())
