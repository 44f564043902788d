"""Two environments that are the same compare as the same; one that drives otherwise shows it, where it does."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest

from learned_sim_env import simulators
from learned_sim_env.cli.main import main
from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.simulators import SIMULATORS
from learned_sim_env.twins.comparison_page import compare, distance
from learned_sim_env.twins.driven_episodes import ComparisonPlan, drive, pictured, pooled
from tests import toy_simulator

pytest.importorskip("cv2", reason="drawing roads needs OpenCV, which the simulators' extras bring")

PLAN = ComparisonPlan(scenarios=("straight", "curve"), episodes=2, steps=15)


class StraightToy(toy_simulator.ToySimulator):
    """Has no curve."""

    def reset(self, seed, options):
        if options.get("scenario") == "curve":
            raise ValueError("this map has no curve")
        return super().reset(seed, {})


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    monkeypatch.setitem(SIMULATORS, "toy", "tests.toy_simulator:ToySimulator")
    monkeypatch.setitem(SIMULATORS, "straight", f"{__name__}:StraightToy")
    # Tests are no package that could be imported by name.
    toys = {"tests.toy_simulator:ToySimulator": toy_simulator.ToySimulator, f"{__name__}:StraightToy": StraightToy}
    load = simulators.load
    monkeypatch.setattr(simulators, "load", lambda path: toys[path] if path in toys else load(path))


def test_the_same_world_twice_has_no_distance():
    sides = [drive(TwinDrivingEnv("toy"), PLAN)[0] for _ in range(2)]
    parts = {part.name: part for part in compare(("one", "other"), (sides[0], sides[1]))}
    for name, value in parts["distributions"].values.items():
        assert value["distance"] in (0.0, None), name
        assert value["means"]["one"] == value["means"]["other"]
    assert parts["ends"].values["one"] == parts["ends"].values["other"]


def test_a_slower_car_shows_in_speed():
    fast, _ = drive(TwinDrivingEnv("toy"), PLAN)
    slow, _ = drive(TwinDrivingEnv("toy", top_speed=5.0), PLAN)
    (part, *_) = compare(("fast", "slow"), (fast, slow))
    means = part.values["speed"]["means"]
    assert means["fast"]["low"] > means["slow"]["high"]
    # No shift of all values could be shorter than that of their mean.
    assert part.values["speed"]["distance"] > means["fast"]["value"] - means["slow"]["value"] - 0.05 > 0.5


def test_a_scenario_that_is_not_to_be_had_is_left_out_and_told():
    episodes, missing = drive(TwinDrivingEnv("straight"), PLAN)
    assert missing == {"curve": "this map has no curve"}
    assert {e.scenario for e in episodes} == {"straight"}
    assert len(episodes) == len(PLAN.drivers) * PLAN.episodes


def test_each_driver_drives_in_its_own_way_and_always_alike():
    first, again = (drive(TwinDrivingEnv("toy"), PLAN)[0] for _ in range(2))
    assert [e.driver for e in first[:6:2]] == list(PLAN.drivers)
    for a, b in combinations(first[:6:2], 2):
        assert not np.array_equal(a.speed, b.speed), (a.driver, b.driver)
    for one, other in zip(first, again):
        np.testing.assert_array_equal(one.speed, other.speed)


def test_nothing_driven_is_refused():
    with pytest.raises(ValueError, match="other drove no episode"):
        compare(("one", "other"), (drive(TwinDrivingEnv("toy"), PLAN)[0], []))


def test_cameras_are_compared_where_both_have_them():
    names = ("front", "bev", "ego")
    day, _ = drive(TwinDrivingEnv("toy", contract="driving-camera", modalities=names, appearance="clear"), PLAN)
    night, _ = drive(TwinDrivingEnv("toy", contract="driving-camera", modalities=names, appearance="night"), PLAN)
    part = compare(("day", "night"), (day, night))[-1]
    assert set(part.values) == {"front", "bev"}
    assert [table.title for table in part.tables] == ["bev", "front"]
    bright = part.values["front"]["brightness"]
    assert bright["day"]["low"] > 1.5 * bright["night"]["high"] > 0
    assert part.values["bev"]["road"]["day"] == part.values["bev"]["road"]["night"]
    above, _ = drive(TwinDrivingEnv("toy"), PLAN)
    assert set(compare(("day", "above"), (day, above))[-1].values) == {"bev"}


def test_drivers_that_need_more_than_is_shown_are_left_out_and_told():
    names = ("front", "ego")
    episodes, missing = drive(TwinDrivingEnv("toy", contract="driving-camera", modalities=names), PLAN)
    assert missing == dict.fromkeys(("careful", "noisy-2"), "needs the view from above")
    assert {e.driver for e in episodes} == {"follow-10"}
    assert all(np.isnan(e.headway).all() and not e.classes for e in episodes)


def test_brightness_contrast_and_detail_of_pictures():
    plain, stripes = np.full((8, 10, 3), 51, np.uint8), np.zeros((8, 10, 3), np.uint8)
    stripes[:, ::2] = 255
    np.testing.assert_allclose(pictured(plain), [0.2, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(pictured(stripes), [0.5, 0.5, 1.0])


def test_distance_is_the_shift_of_a_distribution():
    sample = np.random.default_rng(0).normal(size=2000)
    assert distance(sample, sample + 1.5) == pytest.approx(1.5)
    assert np.isnan(distance(sample, sample[:0]))


def test_values_know_their_episode():
    episodes, _ = drive(TwinDrivingEnv("toy"), PLAN)
    values, owner = pooled(episodes, "speed")
    assert np.array_equal(np.bincount(owner), [len(e.speed) for e in episodes])
    assert len(values) == len(owner)


def test_the_command_writes_a_page(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="needs the extra [train]")
    common = ["--episodes", "1", "--steps", "5", "--scenarios", "curve", "--out", str(tmp_path)]
    assert main(["compare", "LearnedDriving-v0", "LearnedDriving-v0", "--settings-b", "temperature=0", *common]) == 0
    assert "speed [m/s]" in capsys.readouterr().out
    report = json.loads((tmp_path / "compare.json").read_text())
    assert {"distributions", "ends", "views", "about"} == set(report)
    assert "temperature=0" in report["about"]["command"]
    assert "<svg" in (tmp_path / "compare.html").read_text() or "data:image" in (tmp_path / "compare.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["LearnedDriving-v0", "MetaDriveDrivin-v0"], "Did you mean 'MetaDriveDriving-v0'?"),
        (["LearnedDriving-v0", "LearnedDriving-v0", "--scenarios", "curv"], "Did you mean 'curve'?"),
        (["LearnedDriving-v0", "LearnedDriving-v0", "--episodes", "0"], "episodes is 0"),
        (["LearnedDriving-v0", "LearnedDriving-v0", "--settings-a", "port"], "not of the form name=value"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    assert main(["compare", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_dream_and_its_twin_are_replayed():
    pytest.importorskip("metadrive", reason="needs the extra [metadrive]")
    from learned_sim_env.twins.replays import replays

    part = replays("LearnedDriving-v0", 3)
    distances = np.array(part.values["distance"]["value"])
    assert distances.shape == (30,)
    assert distances[0] < 0.1
    assert distances[-1] < 3.0
