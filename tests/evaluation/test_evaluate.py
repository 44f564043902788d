"""The whole evaluation: models whose scores are known, and a real one from checkpoint to figure."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from learned_sim_env import __version__
from learned_sim_env.cli.main import main
from learned_sim_env.data.dataset import PackedData
from learned_sim_env.data.store import write_minari
from learned_sim_env.evaluation import ladder
from learned_sim_env.evaluation.episode_sources import open_episodes
from learned_sim_env.evaluation.levels import LevelInputs
from learned_sim_env.evaluation.levels.return_trip import return_trip
from learned_sim_env.evaluation.levels.return_trip.return_trip import ReturnConfig
from learned_sim_env.evaluation.levels.trust import trust
from learned_sim_env.evaluation.open_loop import TRUE_MOTION
from learned_sim_env.evaluation.scores import Report
from learned_sim_env.evaluation.steps_ahead import EvaluateConfig, evaluate
from learned_sim_env.measures.iou import CLASSES
from learned_sim_env.reporting.parts import Part, Target
from learned_sim_env.reporting.write import write_report
from learned_sim_env.spec import Fingerprints
from learned_sim_env.world_model.checkpoint import save_pretrained
from learned_sim_env.world_model.contexts import Contexts
from learned_sim_env.world_model.rssm.config import SIZES
from learned_sim_env.world_model.rssm.model import DrivingRSSM
from tests.evaluation.world import CONTRACT, FIRST_SEED, PIXEL, Oracle, checkpoint, episode, episodes, packed

CONFIG = EvaluateConfig(horizon=20, batch_size=7, replicates=50)


@pytest.fixture(scope="module")
def perfect(world: PackedData) -> Report:
    """What is said of a model that knows the future."""
    return evaluate(checkpoint(Oracle(world)), world, CONFIG)


def test_a_perfect_model_has_no_errors(perfect: Report) -> None:
    drawn = [i for i, name in enumerate(CLASSES) if name != "objects"]
    np.testing.assert_array_equal(perfect.iou["model"].value[:, drawn], 1.0)
    np.testing.assert_array_equal(perfect.iou["model"].low[:, drawn], 1.0)
    for name, errors in perfect.ego["model"].items():
        np.testing.assert_allclose(errors.value, 0.0, atol=1e-3, err_msg=name)
    for name, correlation in perfect.reward.items():
        np.testing.assert_allclose(correlation.value, 1.0, atol=1e-6, err_msg=name)
    for name in ("terminal", "cost", "collision", "off_road", "arrival"):
        forecast = perfect.events[name]
        assert forecast.auroc.value == 1.0
        assert forecast.calibration_error.value == 0.0
        assert forecast.predicted == forecast.observed > 0


def test_what_never_happens_cannot_be_judged(perfect: Report) -> None:
    assert perfect.events["wrong_way"].positives == 0
    assert np.isnan(perfect.events["wrong_way"].auroc.value)
    assert np.isnan(perfect.iou["model"].value[:, list(CLASSES).index("objects")]).all()


def test_positives_are_all_moments_within_a_second_of_the_end(perfect: Report) -> None:
    # Ten for each of three long episodes, four of the short one.
    assert perfect.events["terminal"].positives == 34
    assert perfect.events["collision"].positives == 14
    # Of the episode that was cut off, one window stops before it is known.
    assert perfect.events["terminal"].windows == perfect.about["windows"] + perfect.about["ending_windows"] - 1


def test_baselines_score_what_the_world_makes_them_worth() -> None:
    # Short enough for the other car to stay in view.
    data = packed([episode(FIRST_SEED + i, 30) for i in range(2)])
    report = evaluate(checkpoint(Oracle(data)), data, CONFIG)
    vehicles = {method: estimate.value[:, list(CLASSES).index("vehicles")] for method, estimate in report.iou.items()}
    np.testing.assert_array_equal(vehicles["drifting boxes"], 1.0)
    # A car of seven pixels moves by one in a step, seen from the ego, and by two over the ground.
    assert vehicles["last view"][:3] == pytest.approx([6 / 8, 5 / 9, 4 / 10])
    assert vehicles["moved view"][:4] == pytest.approx([5 / 9, 3 / 11, 1 / 13, 0])
    np.testing.assert_allclose(report.ego["constant motion"]["fde"].value, 0.0, atol=1e-3)


def test_displacement_of_a_model_that_moves_too_far(world: PackedData) -> None:
    report = evaluate(checkpoint(Oracle(world, stretch=1.1)), world, CONFIG)
    k = np.arange(1, 21)
    np.testing.assert_allclose(report.ego["model"]["fde"].value, 0.1 * PIXEL * k, atol=1e-3)
    np.testing.assert_allclose(report.ego["model"]["ade"].value, 0.1 * PIXEL * (k + 1) / 2, atol=1e-3)


def test_heads_that_are_a_step_late_are_found_out(world: PackedData) -> None:
    report = evaluate(checkpoint(Oracle(world, delay=1)), world, CONFIG)
    assert abs(report.reward["graded"].value) < 0.3
    assert report.events["terminal"].auroc.value < 1.0


class Gambler(Oracle):
    """Its progress is off by chance, and the chance is the noise."""

    def imagine(self, state, action, noise, temperature=1.0):
        after = super().imagine(state, action, noise, temperature)
        return after | {"luck": torch.zeros(len(action), 1) if noise is None else 4 * noise - 2}

    def observe(self, state, action, observation):
        return super().observe(state, action, observation) | {"luck": torch.zeros(len(action), 1)}

    def decode(self, state):
        decoded = super().decode(state)
        return decoded | {"terms": decoded["terms"] + state["luck"] * torch.tensor([1.0, 0, 0, 0])}


def test_the_mean_of_more_futures_is_nearer_to_what_is_to_be_expected(world: PackedData) -> None:
    def found(expected: int, batch_size: int = 7) -> float:
        config = replace(CONFIG, expected=expected, batch_size=batch_size)
        reward = evaluate(checkpoint(Gambler(world)), world, config).reward
        assert reward["return over 10 steps"].value == pytest.approx(1.0)
        return float(reward["return over 10 steps, mean of futures"].value)

    assert found(1) + 0.02 < found(8) < 1
    assert found(3, batch_size=64) == pytest.approx(found(3))
    none = evaluate(checkpoint(Oracle(world)), world, replace(CONFIG, expected=0))
    assert not any("mean of futures" in name for name in none.reward)


def test_batches_and_repetition_change_nothing(world: PackedData, perfect: Report) -> None:
    torch.manual_seed(0)
    model = DrivingRSSM(SIZES["rssm-tiny"], CONTRACT).eval()
    config = EvaluateConfig(horizon=10, batch_size=5, replicates=20, samples=2)
    small = evaluate(checkpoint(model), world, config).to_dict()
    large = evaluate(checkpoint(model), world, replace(config, batch_size=64)).to_dict()
    assert small["about"].pop("batch_size") != large["about"].pop("batch_size")
    compare(small, large)
    sampled = evaluate(checkpoint(Oracle(world)), world, replace(CONFIG, samples=2)).to_dict()
    assert sampled["iou"]["model"]["route"]["value"] == perfect.to_dict()["iou"]["model"]["route"]["value"]
    assert sampled["about"]["windows"] == perfect.about["windows"]


def test_the_same_model_told_the_true_motion(world: PackedData) -> None:
    torch.manual_seed(0)
    model = DrivingRSSM(SIZES["rssm-tiny"], CONTRACT).eval()
    model.ego_path.dynamics.output.bias.data += 0.5
    report = evaluate(checkpoint(model), world, EvaluateConfig(horizon=10, replicates=20))
    lines = {name: e.value[:, list(CLASSES).index("lines")] for name, e in report.iou.items()}
    # Untrained, it drives somewhere else; but what it has seen it remembers.
    assert (lines[TRUE_MOTION][1:] > lines["model"][1:]).all() and lines[TRUE_MOTION][4] > 0.6
    assert f'so is "{TRUE_MOTION}", the same model' in report.table()


def compare(a, b) -> None:
    """Equal but for rounding in batches of another size."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            compare(a[key], b[key])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            compare(x, y)
    else:
        assert a == (pytest.approx(b, abs=0.02) if isinstance(b, float) else b)


def test_a_model_that_is_not_finite_is_refused(world: PackedData) -> None:
    with pytest.raises(ValueError, match="'motion' is not finite 1 steps after"):
        evaluate(checkpoint(Oracle(world, stretch=float("nan"))), world, CONFIG)


def test_data_that_does_not_suit_is_refused(world: PackedData) -> None:
    with pytest.raises(ValueError, match="another task"):
        evaluate(checkpoint(Oracle(world)), replace(world, fingerprints=Fingerprints("0" * 64, {})), CONFIG)
    with pytest.raises(ValueError, match="none of the 1 episodes is long enough"):
        evaluate(checkpoint(Oracle(world)), world.select(np.array([5])), CONFIG)


@pytest.mark.parametrize(
    "setting", [{"horizon": 9}, {"stride": 0}, {"samples": -1}, {"expected": -1}, {"batch_size": 0}, {"replicates": 0}]
)
def test_settings_that_make_no_sense_are_refused(setting: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        EvaluateConfig(**setting)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`data`, a collection of the drawn episodes, and `model`, an untrained checkpoint."""
    pytest.importorskip("minari", reason="Minari is not installed")
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    folder = tmp_path_factory.mktemp("evaluate")
    (folder / "data").mkdir()
    write_minari(folder / "data" / "data", episodes(), "drawn-v0", "drawn")
    model, view = DrivingRSSM(SIZES["rssm-tiny"], CONTRACT), (CONTRACT.bev.height, CONTRACT.bev.width)
    contexts = Contexts(
        {"bev": np.zeros((1, 5, *view), np.uint8), "ego": np.zeros((1, 5, 6), np.float32)},
        actions=np.zeros((1, 5, 2), np.float32),
        tags=np.ones((1, 7), bool),
        scenarios=np.zeros(1, np.int64),
        replay=np.zeros((5, 2), np.float32),
        replay_starts=np.array([0, 5]),
    )
    save_pretrained(folder / "model", model, contexts, 1.0, {"steps": 0})
    return folder


def test_from_the_command_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    options = [
        "--checkpoint",
        str(folder / "model"),
        "--data",
        str(folder / "data"),
        "--out",
        str(out),
        "--device",
        "cpu",
    ]
    assert main(["evaluate", *options, "--episodes", "4", "--stride", "20", "--card"]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["figure.png", "report.json", "table.md"]
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    table = (out / "table.md").read_text()
    card = (folder / "model" / "card.md").read_text()
    assert table in card and "learned-sim evaluate" in card and "| steps | 0 |" in card
    assert table in capsys.readouterr().out
    for word in (*CLASSES, "drifting boxes", "constant motion", "ADE at 1 s", "FDE at 3 s", "AUROC", "30 steps"):
        assert word in table
    report = json.loads((out / "report.json").read_text(), parse_constant=pytest.fail)
    about = report["about"]
    assert about["seeds"] == [FIRST_SEED + i for i in range(4)]
    assert about["package_version"] == __version__
    assert len(about["fingerprint"]) == 64
    assert about["command"].startswith("learned-sim evaluate --checkpoint ")
    assert main(shlex.split(about["command"])[1:]) == 0
    again = json.loads((out / "report.json").read_text())
    assert again == report
    for method in ("model", "last view", "moved view", "drifting boxes"):
        assert len(report["iou"][method]["route"]["value"]) == about["horizon"] == 30
    assert report["ego"]["model"]["fde"]["low"][29] <= report["ego"]["model"]["fde"]["value"][29]


def test_levels_of_the_ladder_are_written_as_they_come(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: object) -> Part:
        raise ValueError("no trust today")

    config = ReturnConfig(contexts=2, steps=5, ago=(2,), circle=10, replicates=5)
    monkeypatch.setattr(return_trip, "return_trip", partial(return_trip.return_trip, config=config))
    monkeypatch.setattr(trust, "trust", fails)
    options = ["--checkpoint", str(folder / "model"), "--data", str(folder / "data"), "--out", str(tmp_path)]
    asked = Target.least("nothing at all", 1.0, 2.0)
    measured = return_trip.return_trip
    monkeypatch.setattr(return_trip, "return_trip", lambda c: replace(measured(c), targets=(asked,)))
    command = ["evaluate", *options, "--episodes", "2", "--stride", "50", "--levels", "trust", "return_trip", "--card"]
    # The second level fails: the first is not lost.
    assert main(command) == 2
    found = json.loads((tmp_path / "ladder.json").read_text())
    assert list(found) == ["about", "return_trip"]
    assert found["about"]["command"].endswith("--levels trust return_trip --card")
    # The card says what was asked of the level that was measured.
    card = (folder / "model" / "card.md").read_text()
    assert "## Asked and measured" in card and "| nothing at all | at least 1 | 2.00" in card
    assert "return_trip" in (tmp_path / "ladder.html").read_text()


@pytest.mark.slow
def test_processes_side_by_side_find_the_same(folder: Path, tmp_path: Path) -> None:
    options = ["--checkpoint", str(folder / "model"), "--data", str(folder / "data"), "--device", "cpu"]
    options += ["--episodes", "2", "--stride", "50", "--horizon", "10", "--levels", "cameras", "trust"]
    found = []
    for processes in ("1", "2"):
        out = tmp_path / processes
        assert main(["evaluate", *options, "--processes", processes, "--out", str(out)]) == 0
        found.append([json.loads((out / name).read_text()) for name in ("report.json", "ladder.json")])
        for about in (written.pop("about") for written in found[-1]):
            assert f"--processes {processes} " in about["command"]
    compare(*(report for report, _ in found))
    compare(*(ladder for _, ladder in found))
    assert list(found[1][1]) == ["cameras", "trust"]


def test_levels_are_listed_and_chosen_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert [level.name for level in ladder.chosen_levels(["all"])] == list(ladder.LEVELS)
    assert [level.name for level in ladder.chosen_levels(["trust", "validity"])] == ["validity", "trust"]
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name in ladder.LEVELS:
        assert f"{name}: {ladder.find_level(name).question}" in told
    assert main(["evaluate", "--levels", "trsut"]) == 2
    assert "unknown level 'trsut'" in capsys.readouterr().err


def test_a_level_that_does_not_suit_the_model_is_reported_so(world: PackedData, tmp_path: Path) -> None:
    """`Oracle` has no map, and its contexts come from no simulator that has a twin."""
    oracle = checkpoint(Oracle(world))
    oracle.training = {"simulators": ["drawn"]}
    inputs = LevelInputs(oracle, world, tmp_path)
    for name, reason in {"return_trip": "has no map memory", "responses": "recorded in drawn"}.items():
        (part,) = ladder.measure_level(name, inputs)
        assert part.name == name and reason in part.values["not_applicable"] and reason in part.method
        write_report(tmp_path, "ladder", "Ladder", {}, [part])
    assert "Not applicable" in (tmp_path / "ladder.html").read_text()


def test_episodes_of_another_split_are_not_used(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert open_episodes(folder / "data", "test", 2).seeds.tolist() == [FIRST_SEED, FIRST_SEED + 1]
    command = ["evaluate", "--checkpoint", str(folder / "model"), "--seeds", "validation"]
    assert main([*command, "--data", str(folder / "data")]) == 2
    assert "no episode of the validation split" in capsys.readouterr().err
    assert main(command) == 2
    assert "give --data" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_episodes(folder / "nowhere", "test", 2)


def test_episodes_that_were_recorded_are_not_recorded_again(tmp_path: Path) -> None:
    pytest.importorskip("metadrive", reason="MetaDrive is not installed")
    pytest.importorskip("minari", reason="Minari is not installed")
    from learned_sim_env.data.store import EpisodeFolder
    from learned_sim_env.evaluation.episode_sources import record_episodes

    for recorded in episodes()[:3]:
        EpisodeFolder(tmp_path / "episodes").write(recorded)
    assert record_episodes(tmp_path, 2, workers=1).seeds.tolist() == [FIRST_SEED, FIRST_SEED + 1]
