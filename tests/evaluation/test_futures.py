"""Futures reduced to what the measures need, and what the parts say of futures that were changed by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.levels.prediction.accuracy import accuracy
from learned_sim_env.evaluation.levels.prediction.forecasting import forecasts_part
from learned_sim_env.evaluation.levels.prediction.futures import Futures, follow
from learned_sim_env.evaluation.levels.prediction.safe_horizon import horizon_part
from learned_sim_env.evaluation.levels.prediction.scenarios import scenarios_part
from learned_sim_env.evaluation.open_loop import join
from learned_sim_env.evaluation.windows import WindowReader, ending_windows, regular_windows
from learned_sim_env.spec import SCENARIO_TAGS, SemanticClass
from learned_sim_env.world_model.contexts import CONTEXT_STEPS
from tests.evaluation.world import CONTRACT, Oracle


@pytest.fixture(scope="module")
def seen(tagged: PackedData) -> Futures:
    """A perfect model's futures."""
    reader = WindowReader(tagged, 30, CONTRACT.dt)
    return join(list(follow(Oracle(tagged), reader, regular_windows(tagged, 10), 10)))


def test_a_future_that_was_once_off_has_failed(seen: Futures) -> None:
    away = seen.pose["model"].copy()
    away[:, 9, 1] += 1.0
    part = horizon_part(replace(seen, pose={**seen.pose, "model": away}), np.ones((3, len(seen))), (1, 30), CONTRACT.dt)
    law = part.values["compounding"]["futures that were ever 0.5 m off"]
    assert law["seen"]["value"] == [0.0] * 9 + [1.0] * 21
    assert part.values["safe_horizon_steps"]["mean position error below 0.5 m"]["model"]["value"] == 9


def test_errors_of_speed_and_turning_are_those_of_each_method(seen: Futures) -> None:
    speed = {"model": seen.true_speed + 2, "constant motion": seen.true_speed - 1}
    yaw_rate = {"model": seen.true_yaw_rate - 0.5, "constant motion": seen.true_yaw_rate + 0.25}
    found = accuracy(replace(seen, speed=speed, yaw_rate=yaw_rate), np.ones((2, len(seen)))).motion
    np.testing.assert_allclose(found["model"]["speed_error"].value, 2, rtol=1e-5)
    np.testing.assert_allclose(found["constant motion"]["speed_error"].value, 1, rtol=1e-5)
    np.testing.assert_allclose(found["model"]["yaw_rate_error"].value, 0.5, rtol=1e-5)
    np.testing.assert_allclose(found["constant motion"]["yaw_rate_error"].value, 0.25, rtol=1e-5)


class Unseen(Oracle):
    """Does not draw the ego."""

    def draw(self, state, names):
        drawn, state = super().draw(state, ("bev",))
        view = drawn["bev"]
        return {"bev": torch.where(view == SemanticClass.EGO, SemanticClass.ROAD, view)}, state


def test_a_view_is_no_worse_for_not_showing_the_ego(tagged: PackedData) -> None:
    reader, windows = WindowReader(tagged, 30, CONTRACT.dt), regular_windows(tagged, 30)[:2]
    (seen,) = follow(Unseen(tagged), reader, windows, 2)
    np.testing.assert_allclose(seen.similarity["model"], 1.0, atol=1e-6)
    np.testing.assert_array_equal(seen.looks["model"], seen.looks["true"])


def test_tags_are_those_of_the_end_of_the_context(tagged: PackedData) -> None:
    tags = np.zeros_like(tagged.arrays["tags"])
    tags[tagged.starts[1] + 20 + CONTEXT_STEPS - 1, SCENARIO_TAGS.index("merge")] = True
    data = replace(tagged, arrays={**tagged.arrays, "tags": tags})
    windows = regular_windows(data, 10)
    (seen,) = follow(Oracle(data), WindowReader(data, 5, CONTRACT.dt), windows, 100, draw=False)
    (found,) = np.flatnonzero(seen.tags[:, SCENARIO_TAGS.index("merge")])
    assert (windows.episode[found], windows.start[found]) == (1, 20)


class Blind(Oracle):
    """Foresees no event."""

    def decode(self, state):
        decoded = super().decode(state)
        return {**decoded, "events": torch.zeros_like(decoded["events"])}


def test_forecasts_of_nothing_are_worth_nothing(tagged: PackedData) -> None:
    model, reader = Blind(tagged), WindowReader(tagged, 20, CONTRACT.dt)
    parts = [
        join(list(follow(model, reader, windows, 16, draw=False)))
        for windows in (regular_windows(tagged, 10), ending_windows(tagged, 10, 20))
    ]
    part = forecasts_part(parts, lambda episode: np.ones((3, len(episode))), CONTRACT.dt)
    for within in ("0.5 s", "1 s", "2 s"):
        assert part.values["terminal"][within]["auroc"]["value"] == 0.5
        assert part.values["terminal"][within]["brier_skill"]["value"] < 0


def test_scenarios_are_told_apart(seen: Futures) -> None:
    straight = seen.tags[:, SCENARIO_TAGS.index("straight")]
    assert straight.sum() == 7
    # Off by 3 m on curves, right on straight road.
    off = {**seen.pose, "model": seen.pose["model"] + 3.0 * ~straight[:, None, None] * np.array([1, 0, 0])}
    part = scenarios_part(replace(seen, pose=off), np.ones((3, len(seen))))
    fde = {tag: v["fde"]["model"]["30"]["value"] for tag, v in part.values.items()}
    assert fde["straight"] == pytest.approx(0.0, abs=1e-3)
    assert fde["curve"] == fde["traffic"] == pytest.approx(3.0, abs=1e-3)
    assert 0 < fde["all"] < 3
    assert fde["roundabout"] is None and part.values["roundabout"]["windows"]["30"] == 0
    assert part.values["straight"]["windows"] == {"15": 6, "30": 4}
