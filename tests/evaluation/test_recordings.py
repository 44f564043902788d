"""Evaluation on recordings, which lack reward, events, road users, tags or maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.data.episode import PARTS
from learned_sim_env.data.packed import PackedData
from learned_sim_env.evaluation.levels.prediction.prediction import PredictionConfig, measure_prediction
from learned_sim_env.evaluation.levels.trust.rollouts import TrustConfig
from learned_sim_env.evaluation.levels.trust.trust import trust
from learned_sim_env.evaluation.levels.validity.free_run import ValidityConfig
from learned_sim_env.evaluation.levels.validity.validity import validity
from learned_sim_env.evaluation.report_files import save
from learned_sim_env.evaluation.steps_ahead import EvaluateConfig, evaluate
from tests.data.recordings import CONTRACT, recording
from tests.evaluation.small import small_checkpoint

CONFIG = EvaluateConfig(horizon=12, stride=30, expected=1, replicates=5)


def packed_of(missing: set[str], steps: int = 90) -> PackedData:
    """Three drawn recordings without the parts `missing`."""
    drawn = [recording(seed, steps, set(PARTS) - missing, log=f"log {seed}") for seed in range(3)]
    return PackedData.of(drawn, CONTRACT.fingerprints())


@pytest.fixture(scope="module")
def data() -> PackedData:
    return packed_of(set(PARTS) - {"pose"})


def test_what_was_recorded_is_measured_and_the_rest_is_said(data, tmp_path: Path) -> None:
    report = evaluate(small_checkpoint(data, 3), data, CONFIG)
    assert report.reward == {} and report.events == {}
    assert "No episode has reward" in report.table() and "No episode has events" in report.table()
    assert np.isfinite(report.ego["model"]["ade"].value).all()
    # Without road users, boxes that drift are no baseline.
    assert "moved view" in report.iou and "drifting boxes" not in report.iou
    save(report, tmp_path)
    assert all(file.stat().st_size for file in tmp_path.iterdir())


def test_episodes_that_lack_what_is_observed_do_not_count() -> None:
    drawn = [recording(seed, 60, modalities=("bev", "ego") if seed < 2 else ("ego",)) for seed in range(3)]
    data = PackedData.of(drawn, CONTRACT.fingerprints())
    report = evaluate(small_checkpoint(data, 2), data, CONFIG)
    assert report.about["episodes"] == 2 and report.about["seeds"] == [0, 1]
    with pytest.raises(ValueError, match="none of the 1 episodes has bev, ego, pose throughout"):
        evaluate(small_checkpoint(data, 2), data.select(np.array([2])), CONFIG)


def test_events_count_where_they_are_known() -> None:
    data = packed_of(set(), 60)
    known = np.arange(len(data.arrays["ego"])) < data.starts[2]
    masked = replace(data, valid={"events": known, "reward": known})
    two = evaluate(small_checkpoint(data, 3), data.select(np.arange(2)), CONFIG)
    some = evaluate(small_checkpoint(data, 3), masked, CONFIG)
    for name, forecast in two.events.items():
        assert some.events[name].windows == forecast.windows > 0
    assert some.reward["graded"].value == pytest.approx(two.reward["graded"].value)
    assert some.about["windows"] > two.about["windows"]


def test_levels_say_what_recordings_lack(data) -> None:
    checkpoint = small_checkpoint(data, 3)
    parts = measure_prediction(
        checkpoint, data, PredictionConfig(stride=60, branch_windows=2, branches=2, replicates=5)
    )
    (forecasts,) = (part for part in parts if part.name == "forecasts")
    assert forecasts.title.endswith("not applicable") and "no episode has events" in forecasts.method
    (scenarios,) = (part for part in parts if part.name == "scenarios")
    assert scenarios.values["all"]["windows"]["15"] > 0 == scenarios.values["traffic"]["windows"]["15"]
    assert trust(checkpoint, data, TrustConfig(stride=60, replicates=5)).values
    assert validity(checkpoint, data, ValidityConfig(contexts=2, steps=3, watched=1)).values["physics"]
