"""Futures that branch: the best, the mean and the spread of them."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.evaluation.levels.prediction.branching import (
    Branches,
    displacements,
    error_of_mean,
    place_spread,
    pooled_iou,
    vehicle_overlaps,
    view_spread,
)
from learned_sim_env.spec import SemanticClass as C


def branches(places: np.ndarray, truth: np.ndarray, mode: np.ndarray) -> Branches:
    n, k, s, _ = places.shape
    empty = np.zeros((n, k, s, 8, 8), np.uint8)
    return Branches(np.arange(n), places, mode, truth, empty, empty[:, 0], empty[:, 0])


def test_displacement_of_branches() -> None:
    # The truth lies to the left or to the right, and samples go both ways where it is open, along elsewhere.
    truth = np.array([[[10.0, 2.0]], [[12.0, 0.0]]])
    mode = np.array([[[10.0, 0.0]], [[10.0, 0.0]]])
    places = np.array([[[[10.0, 2.0]], [[10.0, -2.0]]], [[[12.0, 0.0]], [[8.0, 0.0]]]])
    found = {name: d[:, 0].tolist() for name, d in displacements(branches(places, truth, mode)).items()}
    assert found["mode"] == [2.0, 2.0]
    assert found["mean of k"] == [2.0, 2.0]
    assert found["best of k"] == [0.0, 0.0]
    # The other window's deviations do not help.
    assert found["borrowed best of k"] == pytest.approx([8**0.5, 8**0.5])


def test_spread_equals_error_where_the_truth_is_like_a_sample() -> None:
    points = np.random.default_rng(0).normal(size=(4000, 5, 1, 2)) * 0.7
    found = branches(points[:, :4], points[:, 4], np.zeros((4000, 1, 2)))
    spread, error = (np.sqrt((x**2).mean()) for x in (place_spread(found), error_of_mean(found)))
    assert spread == pytest.approx(0.7 * 2**0.5, rel=0.03)
    # Squares below nothing count as 0, which lifts the error a little.
    assert error == pytest.approx(spread, rel=0.06)
    far = branches(points[:, :4], points[:, 4] + 9, np.zeros((4000, 1, 2)))
    assert np.sqrt((error_of_mean(far) ** 2).mean()) > 10 * spread


def test_vehicles_and_spread_of_sampled_views() -> None:
    truth = np.zeros((1, 1, 8, 8), np.uint8)
    truth[..., :2, :4] = C.VEHICLE
    truth[..., 7, 7] = C.EGO
    drawn = np.zeros((1, 2, 1, 8, 8), np.uint8)
    drawn[:, 0, :, :2, :4] = C.VEHICLE
    drawn[:, 0, :, 7, 7] = C.VEHICLE
    drawn[:, 1, :, :2, 2:6] = C.VEHICLE
    drawn[:, 1, :, 7, 7] = C.VEHICLE
    places = np.zeros((1, 2, 1, 2))
    found = Branches(np.zeros(1, int), places, places[:, 0], places[:, 0], drawn, drawn[:, 1], truth)
    scores = {name: pooled_iou(np.ones((1, 1)), o)[0, 0] for name, o in vehicle_overlaps(found).items()}
    assert scores == pytest.approx({"mode": 4 / 12, "mean of k": 12 / 20, "best of k": 1.0})
    assert view_spread(found)[0, 0] == pytest.approx(8 / 64)
