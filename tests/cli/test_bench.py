"""`learned-sim bench` prints a table and writes the same figures as JSON, with the simulator or without."""

from __future__ import annotations

import json

import pytest

from learned_sim_env.benchmark import speed
from learned_sim_env.benchmark.machine import Machine
from learned_sim_env.benchmark.speed import Setting
from learned_sim_env.cli.main import main


@pytest.fixture
def few_settings(monkeypatch):
    """Measures two rows of the table instead of all."""
    chosen = [Setting("LearnedDriving-v0", 1, "latent"), Setting("LearnedDriving-v0", 4, "dict", "bfloat16")]
    monkeypatch.setattr(speed, "settings", lambda env_id, cores, draws: chosen)
    monkeypatch.setattr(speed, "SCENARIOS", 1)


def bench(tmp_path) -> dict:
    path = tmp_path / "deep" / "bench.json"
    assert main(["bench", "--seconds", "0.05", "--json", str(path)]) == 0
    assert [p.name for p in path.parent.iterdir()] == ["bench.json"]
    return json.loads(path.read_text())


def test_without_the_simulator(few_settings, no_metadrive, tmp_path, capsys):
    report = bench(tmp_path)
    out = capsys.readouterr().out
    assert "MetaDriveDriving-v0 is left out: metadrive is not installed" in out
    assert "metadrive is not installed" in report["twin_missing"]
    assert [(r["batch"], r["obs_type"], r["dtype"]) for r in report["rows"]] == [
        (1, "latent", "float32"),
        (4, "dict", "bfloat16"),
    ]
    for row in report["rows"]:
        s = row["steps_per_second"]
        assert 0 < s["low"] <= s["typical"] <= s["high"]
        assert row["times_twin"] is None
        assert f"{s['typical']:,.0f}" in out
    assert report["machine"]["cores"] == Machine.look().cores


@pytest.mark.slow
def test_ratios_to_the_simulator(few_settings, tmp_path, capsys):
    pytest.importorskip("metadrive", reason="needs the extra [metadrive]")
    report = bench(tmp_path)
    driving, whole, *learned = report["rows"]
    assert driving["env_id"] == whole["env_id"] == "MetaDriveDriving-v0"
    assert (driving["resets"], whole["resets"]) == (False, True)
    assert driving["times_twin"] == whole["times_twin_with_resets"] == 1
    for row in learned:
        typical = row["steps_per_second"]["typical"]
        assert row["times_twin"] == pytest.approx(typical / driving["steps_per_second"]["typical"])
        assert row["times_twin_with_resets"] > row["times_twin"]
    assert "with resets" in capsys.readouterr().out


@pytest.mark.parametrize("busy", [True, False])
def test_busy_machine_is_warned_of(busy, few_settings, no_metadrive, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(Machine, "busy", busy)
    assert bench(tmp_path)["machine"]["busy"] is busy
    assert ("warning: other programs" in capsys.readouterr().out) is busy


@pytest.mark.parametrize("options", [["--seconds", "0"], ["--checkpoint", "nowhere"]])
def test_wrong_options(options, tmp_path, capsys):
    assert main(["bench", *options, "--json", str(tmp_path / "bench.json")]) == 2
    assert options[1] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
