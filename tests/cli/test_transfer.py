"""`learned-sim transfer`, shortened, from beginning to end; and again, when nothing is left to do."""

from __future__ import annotations

import json

import pytest

from learned_sim_env.cli.main import main
from learned_sim_env.drivers.camera_network import CameraPolicy
from learned_sim_env.drivers.metadrive import METADRIVE_DRIVERS
from learned_sim_env.drivers.network import NetworkPolicy
from learned_sim_env.reinforcement.transfer import TransferPlan, last_policy

for module in ("stable_baselines3", "metadrive", "matplotlib"):
    pytest.importorskip(module, reason="needs the extras [rl,metadrive,train]")

OPTIONS = {
    "steps": 1024,
    "recipe.rollout": 1024,
    "longer": 1,
    "seeds": 1,
    "episodes": 1,
    "contexts": 2,
    "repeats": 1,
    "stretch": 3,
}
SHORT = [text for name, value in OPTIONS.items() for text in (f"--{name}", str(value))] + ["--most-steps", "30"]


@pytest.mark.slow
def test_from_training_to_the_report(tmp_path, monkeypatch, capsys):
    from learned_sim_env.reinforcement import transfer

    monkeypatch.setattr(transfer, "BESIDE", ("random", "throttle"))
    monkeypatch.setattr(transfer, "SCRIPTED", {"nothing": None, "follow-8": None})
    command = ["transfer", *SHORT, "--out", str(tmp_path), "--ship", str(tmp_path / "best.safetensors")]
    assert main(command) == 0
    found = json.loads((tmp_path / "transfer.json").read_text())
    trained = ["dream", "twin", "dream, doubt penalised", "dream, 1 times the steps"]
    assert list(found["driving"]["drivers"]) == [*trained, "random", "throttle"]
    assert all(values["steps"] == 1024 for values in found["driving"]["training"].values())
    assert len(found["ranking"]["reward"]["names"]) == 2 + 4
    assert set(found["exploits"]) == set(trained)
    assert found["about"]["command"].startswith("learned-sim transfer --out")
    assert (tmp_path / "transfer.png").stat().st_size > 10_000
    assert "| dream |" in (tmp_path / "transfer.md").read_text()
    assert NetworkPolicy.load(tmp_path / "best.safetensors").about["place"] == "dream"
    assert not list(tmp_path.rglob("*.zip")) and not list(tmp_path.rglob("*.pkl"))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/**/*.json")}
    assert main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/**/*.json")} == before
    assert main([*command, "--penalty", "3"]) == 2
    assert "holds results with other penalty" in capsys.readouterr().err


def test_what_is_ranked_spreads_and_is_enough(tmp_path):
    plan = TransferPlan(tmp_path)
    names = list(plan.ranked())
    assert len(names) >= 20 and not set(METADRIVE_DRIVERS) & set(names)
    assert {"dream-0, 106496 steps", "dream-1, 106496 steps", "careful-10", "noisy-3", "random"} <= set(names)
    assert len({job.path for _, jobs in plan.stages() for job in jobs}) == sum(len(jobs) for _, jobs in plan.stages())
    assert last_policy(plan.runs()["twin"][1]).name == "policy-106496.safetensors"


def test_settings_are_tried_on_scenarios_that_are_held_out(tmp_path):
    from learned_sim_env.data.splits import split_of

    for split in ("test", "validation"):
        jobs = TransferPlan(tmp_path, episodes=7, split=split).judged()["twin"]
        assert {split_of(seed) for job in jobs for seed in job.seeds} == {split} and len(jobs[0].seeds) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--steps", "0"], "at least 1 is needed"),
        (["--episodes", "0"], "at least 1 is needed"),
        (["--split", "tets"], "Did you mean 'test'?"),
    ],
)
def test_wrong_options(options, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["transfer", *options, "--out", str(tmp_path)])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_cameras_from_training_to_the_report(tmp_path, monkeypatch):
    from learned_sim_env.environments.twin import TwinDrivingEnv
    from learned_sim_env.reinforcement import transfer
    from tests.camera_checkpoint import camera_checkpoint

    twin = TwinDrivingEnv("metadrive", "driving-camera", isolate=True)
    checkpoint = camera_checkpoint(tmp_path / "camera", twin)
    twin.close()
    monkeypatch.setattr(transfer, "BESIDE", ("careful",))
    monkeypatch.setattr(transfer, "IN_SIGHT", {"blind": "follow-6"})
    monkeypatch.setattr(transfer, "SCRIPTED", {"nothing": None, "follow-8": None})
    out = tmp_path / "out"
    options = {**OPTIONS, "steps": 32, "recipe.rollout": 32, "recipe.rows": 4, "checkpoint": checkpoint, "out": out}
    del options["longer"]
    command = ["transfer", *(text for name, value in options.items() for text in (f"--{name}", str(value)))]
    command += ["--most-steps", "30", "--ship", str(tmp_path / "best.safetensors")]
    assert main(command) == 0
    found = json.loads((out / "transfer.json").read_text())
    trained = ["dream", "twin", "dream, no pictures", "twin, no pictures"]
    assert list(found["driving"]["drivers"]) == [*trained, "careful", "blind"]
    assert set(found["exploits"]) == set(trained) and len(found["ranking"]["reward"]["names"]) == 2 + 4
    assert "those without pictures the latter two alone" in (out / "transfer.html").read_text()
    shipped = CameraPolicy.load(tmp_path / "best.safetensors")
    assert shipped.about["place"] == "dream" and "bev" not in shipped.observes and "front" in shipped.observes
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/**/*.json")}
    assert main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/**/*.json")} == before


@pytest.mark.slow
def test_agents_alone(tmp_path, capsys):
    pytest.importorskip("tensorboard", reason="needs the extra [train]")
    small = "rows=4,horizon=2,hidden=8+8,minibatches=1"
    agents = [
        f"dreamer:{small}",
        f"safe-dreamer:{small},cost-limit=0.5",
        "mppi:sequences=4,elites=2,horizon=2,stretch=2",
    ]
    agents[-1] += ",proposals=2"
    short = [*SHORT, "--split", "validation", "--agent-minutes", "0.001"]
    command = ["transfer", *short, "--only-agents", "--agents", *agents, "--out", str(tmp_path)]
    assert main(command) == 0
    found = json.loads((tmp_path / "transfer.json").read_text())
    drivers = [f"{name}, 0.001 minutes" for name in agents[:2]] + agents[2:]
    assert list(found["driving"]["drivers"]) == drivers and list(found["driving"]["training"]) == drivers[:2]
    assert set(found["exploits"]) == set(drivers) and "ranking" not in found
    assert found["planning"][agents[2]]["milliseconds"] > 0
    assert "cost per km" in (tmp_path / "transfer.md").read_text() and not (tmp_path / "transfer.png").exists()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/**/*.json")}
    assert main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/**/*.json")} == before
    assert main([*command, "--ship", str(tmp_path / "best.safetensors")]) == 2
    assert "--only-agents leaves out" in capsys.readouterr().err
