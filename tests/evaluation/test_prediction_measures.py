"""The measures of predictions alone: image error, laws of horizon, forecasts, looking straight on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.levels.prediction.forecasting import skill
from learned_sim_env.evaluation.levels.prediction.safe_horizon import compounded, rate_per_step, steps_within
from learned_sim_env.evaluation.levels.prediction.straight_on import blocked, urgency
from learned_sim_env.evaluation.windows import WindowReader, regular_windows
from learned_sim_env.measures.events import happened_within, probability_within
from learned_sim_env.measures.image_error import mean_squared_error, ssim, wrong_share
from learned_sim_env.measures.iou import confusion
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.spec import SemanticClass
from tests.evaluation.world import BEV, CONTRACT

C = SemanticClass


def views(*shape: int, seed: int = 0) -> np.ndarray:
    """Blobs of classes without the ego."""
    coarse = np.random.default_rng(seed).integers(0, C.EGO, (*shape, 8, 8))
    return coarse.repeat(8, -1).repeat(8, -2).astype(np.uint8)


def test_squared_error_and_wrong_pixels_are_those_of_the_images() -> None:
    predicted, truth = views(2, 3), views(2, 3, seed=1)
    truth[:, 0] = predicted[:, 0]
    counts = confusion(predicted, truth, np.ones((2, 3), bool))
    weights = np.array([[1.0, 1.0], [0.0, 2.0]])
    apart = (colourise(predicted) / 255 - colourise(truth) / 255) ** 2
    found = mean_squared_error(weights, counts)
    np.testing.assert_allclose(found[0], apart.mean((0, 2, 3, 4)))
    np.testing.assert_allclose(found[1], apart[1].mean((1, 2, 3)))
    np.testing.assert_allclose(wrong_share(weights, counts)[0], (predicted != truth).mean((0, 2, 3)))
    assert found[0, 0] == 0


def test_the_ego_and_steps_past_the_end_do_not_count() -> None:
    predicted, truth = views(1, 2), views(1, 2)
    truth[..., :4, :4] = C.EGO
    counts = confusion(predicted, truth, np.array([[True, False]]))
    share = wrong_share(np.ones((1, 1)), counts)[0]
    assert share[0] == 0 and np.isnan(share[1])


def test_structural_similarity_is_that_of_its_definition() -> None:
    predicted, truth = views(), views(seed=1)
    predicted[20:] = truth[20:]
    x, y = (colourise(v).astype(np.float64) / 255 for v in (predicted, truth))
    total = []
    for i in range(58):
        for j in range(58):
            a, b = (image[i : i + 7, j : j + 7].reshape(49, 3) for image in (x, y))
            covariance = ((a - a.mean(0)) * (b - b.mean(0))).sum(0) / 48
            luminance = (2 * a.mean(0) * b.mean(0) + 1e-4) / (a.mean(0) ** 2 + b.mean(0) ** 2 + 1e-4)
            structure = (2 * covariance + 9e-4) / (a.var(0, ddof=1) + b.var(0, ddof=1) + 9e-4)
            total.append(luminance * structure)
    assert ssim(predicted, truth) == pytest.approx(np.mean(total), abs=1e-4)
    assert ssim(truth, truth) == pytest.approx(1.0, abs=1e-6)
    both = np.stack([predicted, truth])
    np.testing.assert_allclose(ssim(both, np.stack([truth, truth])), [np.mean(total), 1.0], atol=1e-4)


def test_structural_similarity_agrees_with_scikit_image() -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    x, y = (colourise(views(seed=s)) / 255.0 for s in (0, 1))
    theirs = metrics.structural_similarity(x, y, channel_axis=-1, data_range=1.0)
    assert ssim(views(seed=0), views(seed=1)) == pytest.approx(theirs, abs=1e-4)


def test_the_safe_horizon_ends_at_the_first_step_that_breaks_the_bound() -> None:
    holds = np.array([[True, True, False, True], [True] * 4, [False, True, True, True]])
    assert steps_within(holds).tolist() == [2, 4, 0]


@given(st.floats(0, 0.3), st.integers(1, 64))
def test_compounding_and_its_inverse(rate: float, step: int) -> None:
    steps = np.arange(1, step + 1)
    shares = compounded(np.array([rate]), steps)
    # Counted out: what survives each step.
    alive = 1.0
    for _ in steps:
        alive *= 1 - rate
    assert shares[0, -1] == pytest.approx(1 - alive)
    np.testing.assert_allclose(rate_per_step(shares, steps), rate, atol=1e-9)


def test_straight_on_sees_what_stands_in_the_way(world: PackedData) -> None:
    batch = WindowReader(world, 60, CONTRACT.dt).read(regular_windows(world, 10)[:1])
    assert not blocked(batch, BEV).any()
    # A wall 20 pixels ahead of the ego's centre, which moves by one pixel a step and is 3 pixels long to its front.
    batch.observations["bev"][:, batch.context - 1, BEV.ego_row - 20] = C.STATIC_OBJECT
    found = blocked(batch, BEV)
    assert found[0].argmax() + 1 == pytest.approx(17, abs=1) and not found[0, 30:].any()
    batch.observations["bev"][:, batch.context - 1, BEV.ego_row - 20] = C.OFF_ROAD
    # Off the road counts at the centre.
    assert np.flatnonzero(blocked(batch, BEV)[0]).tolist() == [19]


def test_urgency_orders_moments_by_how_soon() -> None:
    ways = np.zeros((4, 10), bool)
    ways[1, 9] = ways[2, 4] = ways[3, 0] = True
    assert urgency(ways, 10).tolist() == pytest.approx([0.0, 0.1, 0.6, 1.0])
    assert urgency(ways, 5).tolist() == pytest.approx([0.0, 0.0, 0.2, 1.0])


def test_probability_and_outcome_within_some_steps() -> None:
    probabilities = np.zeros((1, 20, 4), np.float32)
    probabilities[0, 0, 0] = probabilities[0, 9, 1] = 0.5
    assert [probability_within(probabilities, ("collision", "off_road"), s)[0] for s in (5, 10)] == [0.5, 0.75]
    events, valid = np.zeros((3, 20, 4), bool), np.ones((3, 20), bool)
    events[0, 7, 0] = True
    valid[1, 12:] = False
    valid[2, 4:] = False
    events[2, 3, 2] = True
    found = {s: [x.tolist() for x in happened_within(events, valid, ("collision",), s)] for s in (5, 10, 20)}
    assert found[5] == [[False] * 3, [True] * 3]
    assert found[10] == [[True, False, False], [True] * 3]
    assert found[20] == [[True, False, False], [True, False, True]]


@settings(max_examples=20)
@given(st.floats(0.05, 0.95))
def test_skill_is_nothing_for_the_frequency_and_one_for_the_truth(rate: float) -> None:
    happened = np.arange(200) < 200 * rate
    weights = np.ones((1, 200))
    assert skill(weights, np.full(200, happened.mean()), happened)[0] == pytest.approx(0, abs=1e-9)
    assert skill(weights, happened.astype(float), happened)[0] == 1
    assert skill(weights, 1.0 - happened, happened)[0] < 0
