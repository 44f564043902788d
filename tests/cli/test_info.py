"""`learned-sim info` tells what is installed and what can run."""

from __future__ import annotations

import json

import gymnasium
import pytest
import torch

from learned_sim_env import __version__
from learned_sim_env.cli import info
from learned_sim_env.cli.main import main
from learned_sim_env.drivers import network as networks
from learned_sim_env.registration import Declared, EnvDeclaration, declarations
from learned_sim_env.resources import checkpoints_dir
from tests.drivers.test_network import network


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
        "given": "",
    }
    assert report["environments"]["CarlaDriving-v0"]["given"] == "a CARLA 0.9.16 server"


def test_checkpoint_sizes(report):
    size = sum(f.stat().st_size for f in (checkpoints_dir() / "bev-rssm").rglob("*") if f.is_file())
    assert report["checkpoints"]["bev-rssm"] == size > 0


def test_policies_are_no_checkpoints(monkeypatch, tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    network().save(tmp_path / "policies" / "quick.safetensors")
    for module in (info, networks):
        monkeypatch.setattr(module, "checkpoints_dir", lambda: tmp_path)
    report = info.collect()
    assert report["checkpoints"] == {"model": 2}
    assert report["policies"] == {"quick": (tmp_path / "policies" / "quick.safetensors").stat().st_size}
    assert "\npolicies\n  quick" in info.render(report)


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
    monkeypatch.setattr(info, "look", lambda: Declared(unmet, ("Bad-v0.toml: why",)))
    monkeypatch.setattr(info, "find_spec", lambda module: None if module == "carla" else object())
    report = info.collect()
    environments = report["environments"]
    assert environments["NoCheckpoint-v0"]["missing"] == "checkpoint gone"
    assert environments["NoModule-v0"]["missing"] == "extra [carla]"
    assert report["problems"] == ["Bad-v0.toml: why"]
    assert "\n  wrong: Bad-v0.toml: why\n" in info.render(report)
