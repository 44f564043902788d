"""Regression and stress of policies in a dream of cameras alone, of a model without latents."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.cli import checkpoint_env
from learned_sim_env.cli.main import main
from learned_sim_env.drivers import catalogue
from learned_sim_env.harness.engine.dream import DreamRunner
from learned_sim_env.harness.engine.job import Job
from learned_sim_env.harness.engine.suite import Suite, SuiteScenario
from learned_sim_env.harness.stress.strategies.disturbed_latents import LatentNoise
from learned_sim_env.harness.stress.strategies.disturbed_observations import DroppedFrames
from learned_sim_env.harness.stress.strategies.disturbed_starts import Tails
from learned_sim_env.world_model import checkpoint
from tests.harness.world import small_suite
from tests.toy_model import toy_camera_checkpoint

HORIZON = 6


class Watcher:
    """Steers by how bright the front camera is, and keeps what it was shown."""

    observes = ("front", "ego")
    shown: list[dict[str, np.ndarray]] = []

    def __init__(self, seeds):
        self.rows = len(seeds)

    def __call__(self, observations, began):
        self.shown.append(dict(observations))
        steer = observations["front"][:, 0, 0, 0] / 255
        return np.stack([steer, np.zeros(self.rows)], 1)


@pytest.fixture
def watching(monkeypatch) -> str:
    """The name of a policy that sees the front camera."""
    # Tests are no package that could be imported by name.
    monkeypatch.setattr(catalogue, "load_maker", lambda name: Watcher)
    Watcher.shown.clear()
    return "tests:watcher"


@pytest.fixture
def alone(monkeypatch):
    """No environment is declared for cameras, and so no twin."""
    monkeypatch.setattr(checkpoint, "from_pretrained", lambda name: toy_camera_checkpoint(4))
    monkeypatch.setattr(checkpoint_env, "declarations", dict)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A suite that starts from moments with cameras."""
    toy = toy_camera_checkpoint(4)
    scenarios = tuple(SuiteScenario(f"scene-{i}", ("curve",), i, 10 + i, HORIZON, "safe") for i in range(4))
    paths = np.zeros((4, HORIZON, 3), np.float32)
    suite = Suite("cameras", scenarios, toy.contexts, paths, np.full(4, HORIZON), {"collision": 0.03})
    path = tmp_path_factory.mktemp("suite") / "cameras"
    suite.save(path)
    return path


def test_a_policy_is_shown_the_camera_that_it_needs(watching):
    toy = toy_camera_checkpoint(4)
    runner = DreamRunner(toy, toy.contexts, watching, rows=4)
    drives = runner.run([Job(f"{i}", i, 5 + i, HORIZON) for i in range(4)], views=True)
    assert not any(drive.error for drive in drives)
    first = Watcher.shown[0]
    assert set(first) == {"front", "ego"} and first["front"][:, 0, 0, 0].tolist() == [20, 21, 22, 23]
    # Only what it needs was drawn, and that is what is kept of it.
    assert not any({"left", "right"} & set(names) for names in toy.model.drawn)
    assert drives[1].views.shape == (HORIZON + 1, 64, 96, 3) and np.isinf(drives[1].gap).all()
    np.testing.assert_allclose(drives[2].actions[0, 0], 22 / 255)
    alone = DreamRunner(toy, toy.contexts, watching, rows=4).run([Job("2", 2, 7, HORIZON)])[0]
    np.testing.assert_array_equal(alone.actions, drives[2].actions)


def test_what_does_not_apply_fails_alone_and_says_why():
    toy = toy_camera_checkpoint(4)
    runner = DreamRunner(toy, toy.contexts, "follow-8", rows=4)
    jobs = [
        Job("latents", 0, 1, HORIZON, (LatentNoise(1.0),)),
        Job("tails", 0, 1, HORIZON, (Tails(1.0),)),
        Job("dropped", 0, 1, HORIZON, (DroppedFrames(0.5),)),
    ]
    errors = [drive.error for drive in runner.run(jobs)]
    assert "latent_noise is not applicable: ToyCameraModel has no recurrent state" in errors[0] and errors[1:] == [
        "",
        "",
    ]


def test_what_does_not_fit_is_said_before_anything_is_driven():
    toy = toy_camera_checkpoint(4)
    with pytest.raises(ValueError, match=r"policy careful cannot drive in toy-camera: .* not bev"):
        DreamRunner(toy, toy.contexts, "careful")
    with pytest.raises(ValueError, match=r"toy-camera cannot start .* no 'front'"):
        DreamRunner(toy, small_suite()[1].starts, "follow-8")


def test_suites_of_cameras_are_written_and_read(folder):
    suite = Suite.load(folder)
    assert list(suite.starts.observations) == ["front", "left", "right", "ego"]
    assert "front=" in (folder / "suite.toml").read_text()


@pytest.mark.parametrize("worlds", ["dream", "both"])
def test_regress_as_it_is_typed(folder, tmp_path, alone, capsys, worlds):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    some = ("--suite", str(folder), "--out", str(tmp_path), "--seeds", "1", "--rows", "4", "--worlds", worlds)
    assert main(["regress", *some]) == 0
    assert list(json.loads((tmp_path / "regress.json").read_text())["worlds"]) == ["dream"]
    assert ("twin: not applicable: " in capsys.readouterr().out) == (worlds == "both")
    assert main(["regress", *some, "--perturb", "injection=1"]) == 2
    assert "--perturb injection is not applicable: ToyCameraModel observes" in capsys.readouterr().err
    assert main(["regress", *some, "--perturb", "night=1"]) == 2
    assert "--perturb night is not applicable: no simulator draws its starts" in capsys.readouterr().err


def test_stress_as_it_is_typed(folder, tmp_path, alone, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    some = ("--suite", str(folder), "--out", str(tmp_path), "--starts", "2", "--seeds", "1", "--rows", "8")
    small = ("--horizon", "6", "--searches", "1", "--rounds", "1", "--strengths", "1.0")
    assert main(["stress", *some, *small]) == 0
    found = json.loads((tmp_path / "stress.json").read_text())["strategies"]
    assert {"action_bias", "dropped_frames", "tails", "latent_temperature"} <= set(found)
    assert {"patch", "occlusion", "blur", "sensor_noise", "weather", "sudden_night", "sudden_fog"} <= set(found)
    assert set(found["not_applicable"]) == {
        *("latent_noise", "latent_flips", "latent_composition"),
        *("view_composition", "injection", "pedestrian", "injection+weather", "night", "fog", "rain"),
    }
    assert "injection: not applicable: ToyCameraModel observes" in capsys.readouterr().out
    assert "Not applicable" in (tmp_path / "stress.html").read_text()
