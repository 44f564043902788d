"""Evaluation of a model that sees and draws cameras alone, has no latents, no map, and a context of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.data.packed import PackedData
from learned_sim_env.evaluation import ladder
from learned_sim_env.evaluation.levels import LevelInputs
from learned_sim_env.evaluation.levels.cameras import frames_part
from learned_sim_env.evaluation.levels.cameras.frames_part import CamerasConfig
from learned_sim_env.evaluation.levels.prediction.prediction import PredictionConfig, measure_prediction
from learned_sim_env.evaluation.levels.trust.rollouts import TrustConfig
from learned_sim_env.evaluation.levels.trust.trust import trust
from learned_sim_env.evaluation.levels.validity.free_run import ValidityConfig
from learned_sim_env.evaluation.levels.validity.validity import validity
from learned_sim_env.evaluation.report_files import save
from learned_sim_env.evaluation.steps_ahead import EvaluateConfig, evaluate
from learned_sim_env.measures.needs import NOTHING, Needs
from learned_sim_env.reporting.write import write_report
from learned_sim_env.spec import CONTRACTS
from tests.evaluation.world import FIRST_SEED, Oracle, checkpoint, episode, packed
from tests.toy_model import ToyCameraModel, ToyModel, toy_camera_checkpoint

CONTRACT = CONTRACTS["driving-camera"]
CAMERAS = ("front", "left", "right")


@pytest.fixture(scope="module")
def filmed() -> PackedData:
    """Two episodes with cameras, of which one ends in a collision, and without a view from above."""
    recorded = []
    for i, (steps, end) in enumerate(((40, "time_limit"), (37, "collision"))):
        driven = episode(FIRST_SEED + i, steps, end)
        bright = np.arange(steps + 1, dtype=np.uint8)[:, None, None, None]
        frames = {name: np.broadcast_to(bright + 10 * k, (steps + 1, 64, 96, 3)) for k, name in enumerate(CAMERAS)}
        recorded.append(replace(driven, observations={"ego": driven.ego, **{n: f.copy() for n, f in frames.items()}}))
    return PackedData.of(recorded, CONTRACT.fingerprints((*CAMERAS, "ego")))


def test_what_any_model_says_is_measured_of_it(filmed: PackedData, tmp_path: Path) -> None:
    report = evaluate(toy_camera_checkpoint(), filmed, EvaluateConfig(horizon=10, replicates=10))
    # The contexts of this model are of two moments, not of five.
    assert report.about["windows"] == 8
    assert not report.iou and np.isfinite(report.ego["model"]["ade"].value).all()
    assert report.events["collision"].positives > 0 and "reward" in report.reward
    assert "Not applicable: the model draws no view from above" in report.table()
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    save(report, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["iou"] == {}


def test_levels_measure_what_applies_and_say_what_does_not(filmed: PackedData, tmp_path: Path) -> None:
    toy = toy_camera_checkpoint()
    parts = [
        *measure_prediction(toy, filmed, PredictionConfig(horizon=31, replicates=5, branch_windows=2, branches=2)),
        validity(toy, filmed, ValidityConfig(contexts=3, steps=12, watched=1)),
        trust(toy, filmed, TrustConfig(replicates=5)),
        *frames_part.measure_cameras(toy, filmed, CamerasConfig(horizon=15, replicates=5)),
    ]
    found = {part.name: part for part in parts}
    reason = "ToyCameraModel draws front, left and right, not bev"
    assert found["views_from_above"].values == {"not_applicable": reason}
    assert (
        found["validity"].values["views_not_applicable"] == reason and "divergence_bits" not in found["validity"].values
    )
    assert list(found["trust"].values["ranks"]) == ["position [m]"]
    assert set(found["cameras"].values["scores"]) == set(CAMERAS) and len(found["cameras"].pictures) == 3
    assert list(found["camera_seams"].values["seams"]) == ["front and left", "front and right"]
    # It draws no view from above, and cannot be told what is there.
    assert "not_applicable" in found["camera_agreement"].values
    assert "iou" not in found["camera_seeing"].values and found["camera_seeing"].values["ade"]["value"] > 0
    assert list(found["cameras"].values["scores"]["front"]) == [
        "model",
        "last frame",
        "last frame, moved over the ground",
    ]
    assert found["film_strips"].pictures == {} and found["prediction"].values["iou"] == {}
    assert found["forecasts"].values["terminal"]["1 s"]["auroc_straight_on"]["value"] is None
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    write_report(tmp_path, "ladder", "Ladder", {}, parts)


def test_a_level_that_needs_more_is_not_measured(filmed: PackedData, tmp_path: Path) -> None:
    inputs = LevelInputs(toy_camera_checkpoint(), filmed, tmp_path)
    (part,) = ladder.measure_level("return_trip", inputs)
    assert part.values["not_applicable"] == "ToyCameraModel draws front, left and right, not bev"


def test_needs_say_what_is_lacking_in_plain_words() -> None:
    assert NOTHING.lacking(ToyCameraModel()) is None
    assert (
        Needs(observes=("bev",)).lacking(ToyCameraModel())
        == "ToyCameraModel observes front, left, right and ego, not bev"
    )
    assert Needs(draws=("bev",)).lacking(ToyModel()) is None
    assert Needs(capabilities=("LatentModel",)).lacking(ToyModel()) == (
        "ToyModel has no recurrent state with categorical latents"
    )
    assert Needs(capabilities=("MapModel", "MovableEgo")).lacking(ToyModel()) == "ToyModel has no map memory"


def test_episodes_without_what_a_model_observes_are_refused(world: PackedData) -> None:
    with pytest.raises(ValueError, match="'front'"):
        evaluate(toy_camera_checkpoint(), world, EvaluateConfig(horizon=10, replicates=5))


def test_other_models_are_shown_beside() -> None:
    data = packed([episode(FIRST_SEED + i, 50) for i in range(2)])
    far = checkpoint(Oracle(data, stretch=1.5), "far")
    config = EvaluateConfig(horizon=10, replicates=5)
    report = evaluate(checkpoint(Oracle(data)), data, config, [far])
    assert list(report.ego) == ["model", "far", "constant motion"] and list(report.iou)[:3] == [
        "model",
        "far",
        "last view",
    ]
    assert report.ego["far"]["fde"].value[-1] > 1 > report.ego["model"]["fde"].value[-1]
    assert report.about["beside"] == {"far": "0" * 64} and "| far" in report.table()
    parts = measure_prediction(
        checkpoint(Oracle(data)), data, PredictionConfig(horizon=30, replicates=5, branch_windows=1, branches=2), [far]
    )
    assert list(parts[0].values["motion"]) == ["model", "far", "constant motion"]
    with pytest.raises(ValueError, match="'last view' is the name of something else"):
        evaluate(checkpoint(Oracle(data)), data, config, [checkpoint(Oracle(data), "last view")])
