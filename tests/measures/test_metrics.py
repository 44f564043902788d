"""Each metric on cases whose value is known, and against plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from learned_sim_env.measures import ego
from learned_sim_env.measures.events import auroc, calibration_error, happened_within, probability_within
from learned_sim_env.measures.iou import CLASSES, confusion, iou
from learned_sim_env.measures.reward import expected_reward, pearson, still_running
from learned_sim_env.spec import NUM_CLASSES, TERMINATIONS, RewardSpec, SemanticClass
from learned_sim_env.task import EVENTS, outcome

ONCE = np.ones((1, 1))


def views(*images: np.ndarray) -> np.ndarray:
    return np.stack(images)[:, None].astype(np.uint8)


def test_iou_of_a_shifted_rectangle() -> None:
    truth, predicted = np.zeros((2, 32, 32))
    truth[10:20, 4:14] = SemanticClass.VEHICLE
    predicted[10:20, 8:18] = SemanticClass.VEHICLE
    counts = confusion(views(predicted), views(truth), np.ones((1, 1), bool))
    found = dict(zip(CLASSES, iou(ONCE, counts)[0, 0]))
    assert found["vehicles"] == pytest.approx(60 / 140)
    assert np.isnan(found["road"])


def test_iou_sums_over_windows_before_it_divides() -> None:
    truth, predicted = np.zeros((2, 2, 16, 16))
    truth[0, :4] = predicted[0, :4] = SemanticClass.ROUTE
    truth[1, :1] = SemanticClass.ROUTE
    counts = confusion(views(*predicted), views(*truth), np.ones((2, 1), bool))
    route = list(CLASSES).index("route")
    assert iou(np.ones((1, 2)), counts)[0, 0, route] == pytest.approx(64 / 80)
    assert iou(np.array([[1.0, 3.0]]), counts)[0, 0, route] == pytest.approx(64 / 112)


def test_iou_leaves_out_the_ego_and_what_is_not_valid() -> None:
    truth, predicted = np.full((2, 2, 8, 8), SemanticClass.ROAD)
    truth[:, :2] = SemanticClass.EGO
    predicted[1] = SemanticClass.OFF_ROAD
    counts = confusion(views(*predicted), views(*truth), np.array([[True], [False]]))
    assert counts.sum() == 48
    assert iou(np.ones((1, 2)), counts)[0, 0, list(CLASSES).index("road")] == 1.0


@given(hnp.arrays(np.uint8, (2, 2, 3, 4, 4), elements=st.integers(0, NUM_CLASSES - 1)))
def test_iou_is_what_sets_of_pixels_say(pair: np.ndarray) -> None:
    predicted, truth = pair
    found = iou(np.ones((1, 2)), confusion(predicted, truth, np.ones((2, 3), bool)))[0]
    for t in range(3):
        for i, classes in enumerate(CLASSES.values()):
            here = truth[:, t] != SemanticClass.EGO
            a, b = (np.isin(x[:, t], classes) & here for x in (predicted, truth))
            expected = (a & b).sum() / (a | b).sum() if (a | b).any() else np.nan
            np.testing.assert_allclose(found[t, i], expected)


def test_displacement_counts_only_windows_that_reach_the_step() -> None:
    error = np.array([[1.0, 2.0, 3.0], [3.0, 50.0, 50.0]])
    valid = np.array([[True, True, True], [True, False, False]])
    np.testing.assert_allclose(ego.mean_at(np.ones((1, 2)), error, valid), [[2.0, 2.0, 3.0]])
    np.testing.assert_allclose(ego.mean_until(np.ones((1, 2)), error, valid), [[2.0, 1.5, 2.0]])
    np.testing.assert_allclose(ego.mean_at(np.array([[0.0, 1.0]]), error, valid), [[3.0, np.nan, np.nan]])


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(1, 5))
def test_pearson_is_that_of_the_steps_laid_end_to_end(seed: int, n: int, t: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(1e3, 1.0, (2, n, t))
    valid = np.arange(t) < rng.integers(1, t + 1, (n, 1))
    weights = rng.integers(1, 3, (2, n))
    for row, found in zip(weights, pearson(weights, x, y, valid)):
        xs, ys = (np.concatenate([v[i][valid[i]] for i in range(n) for _ in range(row[i])]) for v in (x, y))
        np.testing.assert_allclose(found, np.corrcoef(xs, ys)[0, 1], atol=1e-6)


def test_pearson_of_a_constant_is_undefined() -> None:
    x = np.random.default_rng(0).normal(size=(5, 4))
    assert np.isnan(pearson(np.ones((1, 5)), np.full((5, 4), 0.1, np.float32), x, np.ones((5, 4), bool))[0])


@given(st.lists(st.booleans(), min_size=4, max_size=4))
def test_expected_reward_of_certain_events_is_the_reward(happened: list[bool]) -> None:
    terms = np.array([[0.5, -0.1, -0.2, 0.0]], np.float32)
    events = np.array([happened])
    reward = RewardSpec()
    found = expected_reward(terms[None], events[None].astype(np.float32), reward)
    np.testing.assert_allclose(found[0], outcome(terms, events, reward).reward, rtol=1e-6)


def test_expected_reward_weighs_events_by_their_probability() -> None:
    events = np.array([[[0.25, 0.0, 0.5, 1.0]]], np.float32)
    assert expected_reward(np.zeros((1, 1, 4), np.float32), events, RewardSpec())[0, 0] == pytest.approx(2.5)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=1, max_size=25),
)
def test_auroc_is_the_share_of_pairs_in_order(cases: list[tuple[int, bool, int]]) -> None:
    scores, happened, weight = (np.array(x) for x in zip(*cases))
    pairs = total = 0.0
    for i in np.flatnonzero(happened):
        for j in np.flatnonzero(~happened):
            total += weight[i] * weight[j]
            pairs += weight[i] * weight[j] * ((scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]))
    found = auroc(weight[None].astype(float), scores.astype(float), happened)[0]
    np.testing.assert_allclose(found, pairs / total if total else np.nan)


def test_calibration_error_of_honest_and_of_boastful_forecasts() -> None:
    happened = np.array([True] * 3 + [False] * 7)
    assert calibration_error(np.ones((1, 10)), np.full(10, 0.3), happened)[0] == pytest.approx(0.0, abs=1e-12)
    assert calibration_error(np.ones((1, 10)), np.full(10, 1.0), happened)[0] == pytest.approx(0.7)


def test_probabilities_of_steps_and_events_are_combined() -> None:
    probabilities = np.zeros((1, 12, 4), np.float32)
    probabilities[0, 0, 0] = probabilities[0, 9, 1] = 0.5
    probabilities[0, 5, 3] = 1.0  # driving against the traffic does not end an episode
    probabilities[0, 10, 2] = 1.0  # a step too late
    assert probability_within(probabilities, TERMINATIONS)[0] == pytest.approx(0.75)


def test_what_happened_is_unknown_only_where_recording_stopped_early() -> None:
    events = np.zeros((4, 10, 4), bool)
    valid = np.ones((4, 10), bool)
    events[0, 9, 0] = True  # a collision at the last step in time
    valid[1, 4:] = False  # cut off
    valid[2, 4:] = False  # arrived, so nothing can happen any more
    events[2, 3, 2] = True
    valid[3, 4:] = False
    events[3, 6, 0] = True  # padding
    happened, known = happened_within(events, valid, ("collision",))
    assert happened.tolist() == [True, False, False, False]
    assert known.tolist() == [True, False, True, False]


def test_there_is_no_reward_after_an_end_that_is_sure() -> None:
    events = np.zeros((2, 4, len(EVENTS)))
    events[0, 1, EVENTS.index("collision")] = 1.0
    events[1, 0, EVENTS.index("arrival")], events[1, 2, EVENTS.index("off_road")] = 0.5, 0.5
    # Driving against the traffic ends nothing.
    events[..., EVENTS.index("wrong_way")] = 1.0
    assert still_running(events).tolist() == [[1, 1, 0, 0], [1, 0.5, 0.5, 0.25]]
