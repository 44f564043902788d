"""`learned-sim learn` with the world model that ships, shortened: from nothing to a driver, and again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from learned_sim_env.agents.agent import AGENTS
from learned_sim_env.cli.main import main
from learned_sim_env.reinforcement.matched import in_dream
from learned_sim_env.world_model.checkpoint import from_pretrained

for module in ("matplotlib", "tensorboard"):
    pytest.importorskip(module, reason="needs the extra [train]")

SHORT = {"updates": 2, "rows": 4, "horizon": 2, "hidden": "8 8", "minibatches": 2, "saves": 1}
OPTIONS = [text for name, value in SHORT.items() for text in (f"--{name}", *str(value).split())]


@pytest.mark.parametrize("agent", ["dreamer", "safe-dreamer"])
@pytest.mark.slow
def test_from_nothing_to_a_driver(agent, tmp_path, capsys):
    command = ["learn", "--agent", agent, "--out", str(tmp_path), *OPTIONS]
    assert main(command) == 0
    driver = tmp_path / "policy.safetensors"
    assert str(driver) in capsys.readouterr().out
    driven = in_dream(from_pretrained("bev-rssm"), str(driver), [0], 1, 2)
    assert driven.steps.tolist() == [2] and np.isfinite(driven.reward).all()
    found = json.loads((tmp_path / "learn.json").read_text())
    assert found["about"]["agent"] == agent and found["learning"]["saved"][-1]["updates"] == 2
    assert "minutes of processor" in (tmp_path / "learn.html").read_text()
    before = driver.stat().st_mtime_ns
    assert main(command) == 0
    assert driver.stat().st_mtime_ns == before
    assert main([*command, "--lam", "0.5"]) == 2
    assert "holds a run with lam=0.95" in capsys.readouterr().err


@pytest.mark.slow
def test_policies_are_judged_in_the_simulator(tmp_path):
    pytest.importorskip("metadrive", reason="needs the extra [metadrive]")
    assert main(["learn", "--out", str(tmp_path), *OPTIONS, "--judge", "1"]) == 0
    found = json.loads((tmp_path / "learn.json").read_text())["learning"]
    assert 0 <= found["driven"]["policy.safetensors"]["score"]["value"] <= 1


@pytest.mark.slow
def test_a_policy_drives_by_imagined_and_by_filtered_features(tmp_path):
    assert main(["learn", "--out", str(tmp_path), *OPTIONS, "--sight", "3"]) == 0
    found = json.loads((tmp_path / "learn.json").read_text())["sight"]
    rewards = [found[way]["reward"]["value"] for way in ("imagined", "filtered", "difference")]
    assert rewards[1] - rewards[0] == pytest.approx(rewards[2], abs=1e-5)
    # Different features, so different driving.
    assert rewards[2] != 0


def test_help_shows_the_settings_of_the_agent(capsys):
    for agent in AGENTS:
        with pytest.raises(SystemExit) as stopped:
            main(["learn", "--agent", agent, "--help"])
        assert stopped.value.code == 0
        out = capsys.readouterr().out
        assert "--actions" in out and ("--cost-limit" in out) == (agent in ("safe-dreamer", "osrp", "osrp-lag"))


def test_unknown_agents(tmp_path, capsys):
    assert main(["learn", "--agent", "dreamr", "--out", str(tmp_path)]) == 2
    assert "Did you mean 'dreamer'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--threads", "0", "threads is 0; it must be at least 1"),
        ("--save-every", "0", "save_every is 0; it must be at least 1"),
        ("--judge", "-1", "judge is -1; it must be at least 0"),
        ("--gamma", "2", "gamma is 2.0; it must be from 0 to 1"),
    ],
)
def test_numbers_out_of_range(option, value, message, tmp_path, capsys):
    assert main(["learn", "--out", str(tmp_path), option, value]) == 2
    assert message in capsys.readouterr().err


def test_what_does_not_drive_by_features_has_no_sight(tmp_path, capsys):
    assert main(["learn", "--agent", "mppi", "--out", str(tmp_path), "--sight", "2"]) == 2
    assert "agent mppi does not drive by" in capsys.readouterr().err
