"""Level 1 in depth: models whose errors are known give the known numbers, and a real model gives a report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.levels.prediction.branching import branch
from learned_sim_env.evaluation.levels.prediction.prediction import PredictionConfig, describe, measure_prediction
from learned_sim_env.evaluation.levels.prediction.strips import choose
from learned_sim_env.evaluation.windows import WindowReader, regular_windows
from learned_sim_env.measures.iou import CLASSES
from learned_sim_env.reporting.html import write_html
from learned_sim_env.reporting.parts import Part
from learned_sim_env.spec import Fingerprints
from learned_sim_env.world_model.rssm.config import SIZES
from learned_sim_env.world_model.rssm.model import DrivingRSSM
from tests.evaluation.world import CONTRACT, PIXEL, Oracle, checkpoint

CONFIG = PredictionConfig(horizon=30, stride=20, batch_size=8, branch_windows=3, branches=3, replicates=30)
NAMES = ("prediction", "scenarios", "forecasts", "safe_horizon", "branches", "realism", "film_strips")


@pytest.fixture(scope="module")
def perfect(tagged: PackedData) -> dict[str, Part]:
    """What is said of a model that knows the future."""
    return {part.name: part for part in measure_prediction(checkpoint(Oracle(tagged)), tagged, CONFIG)}


@pytest.fixture(scope="module")
def stretched(tagged: PackedData) -> dict[str, Part]:
    """What is said of one that moves a tenth too far, and draws as before."""
    parts = measure_prediction(checkpoint(Oracle(tagged, stretch=1.1)), tagged, CONFIG)
    return {part.name: part for part in parts}


def test_a_perfect_model_has_no_errors(perfect: dict[str, Part]) -> None:
    assert tuple(perfect) == NAMES
    values = perfect["prediction"].values
    for name in CLASSES:
        assert set(values["iou"]["model"][name]["value"]) == ({None} if name == "objects" else {1.0})
    assert set(values["image"]["model"]["wrong_pixels"]["value"]) == {0.0}
    assert set(values["image"]["model"]["mse"]["value"]) == {0.0}
    assert values["image"]["model"]["ssim"]["value"] == pytest.approx([1.0] * len(values["ssim_steps"]))
    for name in ("ade", "fde", "speed_error", "yaw_rate_error"):
        assert values["motion"]["model"][name]["value"] == pytest.approx([0.0] * 30, abs=1e-3)
    # A world that moves is not the last view.
    assert values["image"]["last view"]["wrong_pixels"]["value"][0] > 0.02
    assert values["image"]["last view"]["ssim"]["value"][0] < 0.95


def test_an_error_by_horizon_is_the_known_one(stretched: dict[str, Part]) -> None:
    fde = stretched["prediction"].values["motion"]["model"]["fde"]["value"]
    assert fde == pytest.approx(0.1 * PIXEL * np.arange(1, 31), abs=1e-3)
    assert stretched["prediction"].values["motion"]["constant motion"]["fde"]["value"][-1] == pytest.approx(0, abs=1e-3)
    cells = {row[:2]: row[2:] for row in stretched["prediction"].tables[2].rows}
    assert stretched["prediction"].tables[2].head[2:] == ("1 step", "5 steps", "15 steps", "30 steps")
    assert cells["FDE [m]", "model"][2].startswith("1.125 [1.12")


def test_the_safe_horizon_ends_where_the_bound_is_passed(stretched: dict[str, Part], perfect: dict[str, Part]) -> None:
    # 0.075 m a step: 0.45 m after six, 0.525 m after seven.
    bounds = stretched["safe_horizon"].values["safe_horizon_steps"]
    position = bounds["mean position error below 0.5 m"]
    assert position["model"] == {"value": 6, "low": 6, "high": 6}
    assert position["constant motion"]["value"] == 30
    assert bounds["wrong pixels below 10%"]["model"]["value"] == 30
    assert bounds["IoU of road above 0.8"]["last view"]["value"] < bounds["IoU of road above 0.8"]["model"]["value"]
    law = stretched["safe_horizon"].values["compounding"]["futures that were ever 0.5 m off"]
    assert law["seen"]["value"] == [0.0] * 6 + [1.0] * 24
    assert set(law["law"]["value"]) == {0.0}
    assert {row[-1] for row in perfect["safe_horizon"].tables[0].rows if row[1] == "model"} == {"yes"}


def test_forecasts_of_a_perfect_model_are_perfect(perfect: dict[str, Part]) -> None:
    # Of fourteen regular windows one is cut off six steps after its context.
    for within, positives, fair in (("0.5 s", 5, 14), ("1 s", 10, 13), ("2 s", 20, 13)):
        forecast = perfect["forecasts"].values["terminal"][within]
        assert forecast["auroc"]["value"] == 1.0
        assert forecast["calibration_error"]["value"] == 0.0
        assert forecast["brier_skill"]["value"] == 1.0
        # Three long episodes end by an event, and a short one with four moments before it.
        assert forecast["positives"] == 3 * positives + 4
        assert forecast["fair_moments"] == fair < forecast["moments"]
        reliability = forecast["reliability"]
        assert sum(reliability["count"]) == forecast["fair_moments"]
        assert reliability["observed"]["value"][0] == 0.0 and reliability["observed"]["value"][-1] == 1.0
    # Of what ends the drawn episodes, nothing can be seen.
    assert 0.2 < perfect["forecasts"].values["terminal"]["2 s"]["auroc_straight_on"]["value"] < 0.8


def test_film_strips_show_truth_above_an_equal_dream(perfect: dict[str, Part]) -> None:
    part = perfect["film_strips"]
    assert set(part.values) == {"straight", "curve", "traffic"}
    assert len({v["seed"] for v in part.values.values()}) == 3
    for picture in part.pictures.values():
        # The end of the context and steps 8, 16 and 24.
        assert picture.shape == (2 * 66, 4 * 66, 3)
        np.testing.assert_array_equal(picture[:66], picture[66:])


def test_every_tag_gets_a_window_of_its_own_episode() -> None:
    tags = np.zeros((5, 7), bool)
    tags[:, 0] = True
    tags[0, 3] = tags[1, 3] = True
    whole = np.array([True, True, False, True, True])
    # The rare tag takes episode 0; "straight" must look elsewhere.
    assert choose(tags, whole, np.array([0, 0, 1, 2, 3])) == {"straight": 3, "roundabout": 0}


def test_a_real_model_gives_a_whole_report(world: PackedData, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    torch.manual_seed(0)
    model = DrivingRSSM(SIZES["rssm-tiny"], CONTRACT).eval()
    config = replace(CONFIG, stride=25, branch_windows=1, branches=2, replicates=3)
    world = world.select(np.array([0, 4]))
    parts = measure_prediction(checkpoint(model), world, config)
    for part in parts:
        assert part.limits and part.method
        json.dumps(part.values, allow_nan=False)
    write_html(tmp_path / "report.html", "L1", describe(world, config), parts)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    # Not one of its numbers is missing for being drawn from one model only.
    assert text.count("<img") == sum(len(p.figures) + len(p.pictures) for p in parts)


def test_sampled_futures_differ_and_do_not_depend_on_batches(world: PackedData) -> None:
    torch.manual_seed(0)
    model = DrivingRSSM(SIZES["rssm-tiny"], CONTRACT).eval()
    # An untrained ego would move alike whatever it imagines.
    torch.nn.init.normal_(model.ego_path.dynamics[-1].weight, std=0.3)
    reader, windows = WindowReader(world, 30, CONTRACT.dt), regular_windows(world, 20)[:2]
    done: list[int] = []
    small, large = (branch(model, reader, windows, 2, size, done.append) for size in (2, 8))
    assert done == [1, 1, 2]
    np.testing.assert_allclose(small.places, large.places, atol=1e-3)
    assert (small.views == large.views).mean() > 0.99
    assert (large.views[:, 0] != large.views[:, 1]).any()
    np.testing.assert_allclose(large.true_places[:, :, 0], [[15 * PIXEL, 30 * PIXEL]] * 2, atol=1e-3)
    np.testing.assert_array_equal(large.true_views[0, 1], world.arrays["bev"][4 + 30])


@pytest.mark.parametrize("setting", [{"horizon": 29}, {"stride": 0}, {"branches": 1}, {"seed": -1}])
def test_settings_that_make_no_sense_are_refused(setting: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        PredictionConfig(**setting)


def test_data_that_does_not_suit_is_refused(world: PackedData) -> None:
    with pytest.raises(ValueError, match="another task"):
        measure_prediction(checkpoint(Oracle(world)), replace(world, fingerprints=Fingerprints("0" * 64, {})), CONFIG)
    with pytest.raises(ValueError, match="no window of the 2 episodes reaches 30 steps"):
        measure_prediction(checkpoint(Oracle(world)), world.select(np.array([4, 5])), CONFIG)
    with pytest.raises(ValueError, match="'motion' is not finite 1 steps after"):
        measure_prediction(checkpoint(Oracle(world, stretch=float("nan"))), world, CONFIG)
