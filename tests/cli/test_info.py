"""`learned-sim info` tells what is installed and what can run."""

from __future__ import annotations

import json

import gymnasium
import pytest
import torch

from learned_sim_env import __version__
from learned_sim_env.cli import info
from learned_sim_env.cli.main import main
from learned_sim_env.registration import EnvDeclaration, declarations
from learned_sim_env.resources import checkpoints_dir


@pytest.fixture
def report(capsys):
    """The report that `info --json` prints."""
    assert main(["info", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_json_report(report):
    assert report["version"] == __version__
    assert report["torch_threads"] == torch.get_num_threads()
    assert report["packages"]["base"]["gymnasium"] == gymnasium.__version__
    assert report["environments"].keys() == declarations().keys()
    assert report["environments"]["LearnedDriving-v0"] == {
        "backend": "learned",
        "twin": "MetaDriveDriving-v0",
        "missing": "",
    }


def test_checkpoint_sizes(report):
    size = sum(f.stat().st_size for f in (checkpoints_dir() / "bev-rssm").rglob("*") if f.is_file())
    assert report["checkpoints"]["bev-rssm"] == size > 0


def test_text_report_names_every_environment(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert f"learned-sim-env {__version__}" in out
    for env_id in declarations():
        assert env_id in out


def test_unmet_needs_are_named(monkeypatch):
    unmet = {
        "NoCheckpoint-v0": EnvDeclaration("NoCheckpoint-v0", "learned", "driving", settings={"checkpoint": "gone"}),
        "NoModule-v0": EnvDeclaration("NoModule-v0", "carla", "driving"),
    }
    monkeypatch.setattr(info, "declarations", lambda: unmet)
    monkeypatch.setattr(info, "find_spec", lambda module: None if module == "carla" else object())
    environments = info.collect()["environments"]
    assert environments["NoCheckpoint-v0"]["missing"] == "checkpoint gone"
    assert environments["NoModule-v0"]["missing"] == "extra [carla]"
