"""From one simulator to another: collect in CARLA, train on it, evaluate on both, compare the two."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.cli.main import main
from learned_sim_env.data.dataset import load_episodes
from learned_sim_env.data.store import write_minari
from tests.standin import Standin
from tests.tiny_training import TINY

for module, extra in (("carla", "carla"), ("msgpack", "carla"), ("metadrive", "metadrive"), ("tensorboard", "train")):
    pytest.importorskip(module, reason=f"needs the extra [{extra}]")

TOWNS = 'town=["GridTown","RingTown"]'


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    if "CARLA_SERVER" in os.environ:
        pytest.skip("the one CARLA server is in use by another environment")
    with Standin() as server:
        yield server.port


@pytest.fixture(scope="module")
def collected(port, tmp_path_factory):
    """Folders of a few episodes of both simulators."""

    def collect(simulator: str, split: str, *more: str) -> Path:
        folder = tmp_path_factory.mktemp(f"{simulator}-{split}")
        command = ["collect", "--simulator", simulator, "--split", split, "--workers", "1", "--max-steps", "60"]
        assert main([*command, "--out", str(folder), *more]) == 0
        return folder

    settings = ("--settings", f"port={port}", TOWNS, "vehicles=[2,6]", "walkers=0")
    return {
        # One to train on, and one to validate with, which the expert drives.
        "carla train": collect("carla", "train", "--seed-start", "28", "--episodes", "2", *settings),
        "carla test": collect("carla", "test", "--episodes", "2", *settings),
        "metadrive test": collect("metadrive", "test", "--episodes", "2"),
    }


@pytest.fixture(scope="module")
def checkpoint(collected, tmp_path_factory) -> Path:
    """Of a tiny model of CARLA."""
    folder, run = tmp_path_factory.mktemp("carla-tagged"), tmp_path_factory.mktemp("run")
    # Two episodes do not see every kind of place, which contexts must have.
    episodes = [replace(e, tags=np.ones_like(e.tags)) for e in load_episodes(collected["carla train"])]
    write_minari(folder / "data", episodes, "carla/tagged-v0", "driven in CARLA")
    assert main(["train", "--data", str(folder), "--out", str(run), "--steps", "4", *TINY]) == 0
    return run / "checkpoint"


def evaluated(checkpoint: str, data: Path, out: Path) -> dict:
    command = ["evaluate", "--checkpoint", checkpoint, "--data", str(data), "--out", str(out)]
    assert main([*command, "--horizon", "15", "--stride", "5"]) == 0
    return json.loads((out / "report.json").read_text())


@pytest.mark.slow
def test_a_model_of_one_simulator_is_evaluated_on_the_other(collected, checkpoint, tmp_path):
    for data in ("carla test", "metadrive test"):
        report = evaluated(str(checkpoint), collected[data], tmp_path / data)
        assert report["about"]["simulators"] == [data.split()[0]]
        assert report["about"]["windows"] > 0
        assert 0.0 <= report["iou"]["model"]["road"]["value"][0] <= 1.0


@pytest.mark.slow
def test_the_shipped_model_has_a_gap(collected, tmp_path):
    """It was learned from MetaDrive, and knows how MetaDrive's car drives."""
    ade = {
        data: evaluated("bev-rssm", collected[data], tmp_path / data)["ego"]["model"]["ade"]["value"][9]
        for data in ("carla test", "metadrive test")
    }
    assert ade["carla test"] > 2.0 * ade["metadrive test"], ade


@pytest.mark.slow
def test_two_simulators_are_compared(port, tmp_path, capsys):
    command = ["compare", "MetaDriveDriving-v0", "CarlaDriving-v0", "--settings-b", f"port={port}", "vehicles=[2,6]"]
    assert main([*command, "--episodes", "1", "--steps", "20", "--scenarios", "curve", "--out", str(tmp_path)]) == 0
    assert "MetaDriveDriving-v0: 3 episodes, 60 steps" in (said := capsys.readouterr().out)
    assert "CarlaDriving-v0: 3 episodes, 60 steps" in said
    values = json.loads((tmp_path / "compare.json").read_text())
    assert set(values["distributions"]["speed"]["means"]) == {"MetaDriveDriving-v0", "CarlaDriving-v0"}
