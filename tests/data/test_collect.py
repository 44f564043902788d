"""Collection with the real simulator: complete, repeatable, resumable, and hard to kill."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.data.behaviours import choose_behaviour
from learned_sim_env.data.collect import CollectConfig, collect, is_collected
from learned_sim_env.data.dataset import load_episodes, pack
from learned_sim_env.data.episode_recorder import scenery_slots
from learned_sim_env.data.episode_task import record_episode
from learned_sim_env.data.packed import PackedData
from learned_sim_env.data.store import EpisodeFolder, write_minari
from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.scene import SimulatorError
from learned_sim_env.spec import CONTRACTS, SemanticClass
from tests import standin
from tests.data.recordings import recording, same


def test_a_collection_is_complete(collection: Path) -> None:
    assert sorted(p.name for p in collection.iterdir() if p.suffix != ".npz") == [
        "collection.json",
        "data",
        "episodes",
        "summary.json",
    ]
    episodes = load_episodes(collection)
    assert [episode.seed for episode in episodes] == [6, 7, 8, 9, 10]
    assert all(episode.behaviour == choose_behaviour(episode.seed) for episode in episodes)
    assert all(episode.simulator == "metadrive" for episode in episodes)


def test_the_summary_counts_the_episodes(collection: Path) -> None:
    summary = json.loads((collection / "summary.json").read_text())
    episodes = load_episodes(collection)
    frames = sum(map(len, episodes))
    assert summary["episodes"] == 5
    assert summary["frames"] == frames
    assert sum(summary["ends"].values()) == 5
    assert sum(entry["frames"] for entry in summary["behaviours"].values()) == frames
    for name in ("steer_shares", "throttle_brake_shares"):
        assert sum(summary[name]) == pytest.approx(1.0, abs=1e-3)
    assert sum(summary["class_shares"].values()) == pytest.approx(1.0, abs=1e-3)
    assert summary["failed_seeds"] == {}
    assert summary["frames_per_second"] > 0


def test_resuming_keeps_what_is_there_and_adds_the_rest(collection: Path, tmp_path: Path) -> None:
    config = CollectConfig(out=tmp_path, episodes=1, seed_start=6, max_steps=25, workers=1)
    collect(config)
    before = (tmp_path / "episodes" / "6.npz").stat()
    collect(CollectConfig(out=tmp_path, episodes=2, seed_start=6, max_steps=25, workers=2))
    assert (tmp_path / "episodes" / "6.npz").stat() == before
    # The same seeds give the same episodes, whichever process they were recorded in.
    for episode, other in zip(load_episodes(tmp_path), load_episodes(collection)[:2], strict=True):
        assert episode.metadata() == other.metadata()
        for name, array in episode.arrays().items():
            np.testing.assert_array_equal(array, other.arrays()[name], err_msg=name)
    data = (tmp_path / "data" / "main_data.hdf5").stat()
    assert collect(config).episodes == 2
    assert (tmp_path / "data" / "main_data.hdf5").stat() == data


def test_a_folder_keeps_one_kind_of_collection(collection: Path) -> None:
    with pytest.raises(ValueError, match="max_steps 25, not 30"):
        collect(CollectConfig(out=collection, episodes=1, max_steps=30))


def test_killing_a_worker_costs_its_episode_only(collection: Path, tmp_path: Path) -> None:
    killed = []

    def kill() -> None:
        folder = EpisodeFolder(tmp_path / "episodes")
        while not folder.seeds():
            time.sleep(0.02)
        for process in multiprocessing.active_children()[:1]:
            os.kill(process.pid or 0, signal.SIGKILL)
            killed.append(process.pid)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    summary = collect(CollectConfig(out=tmp_path, episodes=3, seed_start=6, max_steps=25, workers=1))
    thread.join()
    assert len(killed) == 1
    assert summary.episodes == 3
    assert not summary.failed
    for episode, other in zip(load_episodes(tmp_path), load_episodes(collection)[:3], strict=True):
        np.testing.assert_array_equal(episode.ego_pose, other.ego_pose)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_finished_episodes(number: int, collection: Path, tmp_path: Path) -> None:
    options = ["--out", str(tmp_path), "--episodes", "1000", "--max-steps", "25"]
    command = [sys.executable, "-m", "learned_sim_env.cli.main", "collect", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    folder = EpisodeFolder(tmp_path / "episodes")
    deadline = time.monotonic() + 120
    while not folder.seeds() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, number)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert b"the same command goes on from them" in told
    done = folder.seeds()
    assert done
    for seed in done:
        assert folder.read(seed).seed == seed
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "tset"}, "'test'"),
        ({"simulator": "metadriv"}, "'metadrive'"),
        ({"episodes": 0}, "at least 1"),
        ({"seed_start": 999_999, "episodes": 2}, "leaves the seeds of the train split"),
        ({"seed_start": -1}, "leaves the seeds"),
        ({"simulator": "carla", "workers": 2}, "serves one environment"),
        ({"settings": ("port",)}, "not of the form name=value"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        CollectConfig(**{"out": tmp_path, "episodes": 3, **settings})


def test_test_seeds_are_apart_from_training_seeds(tmp_path: Path) -> None:
    assert CollectConfig(out=tmp_path, episodes=3, split="test", seed_start=4).seeds == range(1_000_004, 1_000_007)
    assert CollectConfig(out=tmp_path, episodes=3).seeds == range(3)


def test_settings_reach_the_simulator_and_belong_to_the_folder(tmp_path: Path) -> None:
    config = CollectConfig(
        out=tmp_path,
        episodes=3,
        simulator="carla",
        workers=1,
        settings=("port=2001", 'town=["A", "B"]', "weather=random"),
    )
    assert config.simulator_settings() == {"port": 2001, "town": ["A", "B"], "weather": "random"}
    # Where a server is says nothing about the data.
    assert config.lasting()["settings"] == {"town": ["A", "B"], "weather": "random"}
    assert CollectConfig(out=tmp_path, episodes=3).lasting()["settings"] is None


def test_an_episode_that_the_simulator_broke_off_is_not_recorded(toy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2", reason="drawing roads needs OpenCV, which the simulators' extras bring")
    env = TwinDrivingEnv("toy", obs_type="semantic")

    def fail(action: np.ndarray) -> None:
        raise SimulatorError("gone")

    monkeypatch.setattr(env.simulator, "step", fail)
    with pytest.warns(UserWarning, match="gone"), pytest.raises(SimulatorError, match="is not recorded"):
        record_episode(env, "toy", 0)


def test_carla_episodes_are_collected(tmp_path: Path) -> None:
    pytest.importorskip("minari", reason="Minari is not installed")
    with standin.server() as where:
        settings = tuple(f"{name}={value}" for name, value in where.items())
        config = CollectConfig(
            out=tmp_path, episodes=2, simulator="carla", workers=1, max_steps=12, seed_start=20, settings=settings
        )
        summary = collect(config)
    assert (summary.episodes, summary.failed) == (2, {})
    for episode in load_episodes(tmp_path):
        assert episode.simulator == "carla"
        assert 1 <= len(episode) <= 12
        assert SemanticClass.EGO in episode.observations["bev"][-1]


def test_cameras_are_collected(tmp_path: Path) -> None:
    minari = pytest.importorskip("minari", reason="Minari is not installed")
    pytest.importorskip("metadrive", reason="MetaDrive is not installed")
    config = CollectConfig(
        tmp_path / "cameras-v0", 2, max_steps=5, workers=1, modalities=("front", "right", "bev", "ego", "route")
    )
    collect(config)
    episodes = load_episodes(config.out)
    dataset = minari.MinariDataset(config.out / "data")
    packed = PackedData.load(pack(config.out))
    twin = dataset.recover_environment()
    assert set(twin.observation_space) == {"front", "right", "semantic", "ego", "route"}
    assert twin.observation_space == dataset.observation_space
    for i, episode in enumerate(episodes):
        episode.check(CONTRACTS["driving-camera"])
        assert same(packed.episode(i), episode) and not episode.valid
        observation, _ = twin.reset(seed=episode.seed)
        for t, action in enumerate(episode.actions):
            assert np.array_equal(observation["front"], episode.observations["front"][t])
            assert np.array_equal(observation["semantic"], episode.observations["bev"][t])
            assert observation["route"] == pytest.approx(episode.observations["route"][t], abs=1e-4)
            for name, value in scenery_slots(twin.unwrapped.scene).items():
                # Replayed as actions say, the ego may be elsewhere by a rounding error.
                assert np.abs(value - getattr(episode, name)[t]).max() < 1e-4, name
            observation, *_ = twin.step(action)
    twin.close()
    with pytest.raises(ValueError, match="use its settings or another folder"):
        collect(CollectConfig(config.out, 2, max_steps=5, contract="driving-camera"))


def test_modalities_and_contract_go_together(tmp_path: Path) -> None:
    def config(**settings: object) -> CollectConfig:
        return CollectConfig(tmp_path, 1, **settings)  # type: ignore[arg-type]

    assert (config().kept.name, config().names) == ("driving", ("bev", "ego"))
    cameras = config(contract="driving-camera")
    assert cameras.names == ("front", "left", "right", "ego", "route", "bev")
    assert config(modalities=("ego", "left")).kept.name == "driving-camera"
    assert config(modalities=("ego", "route")).kept.name == "driving"
    for settings, message in (
        ({"contract": "diving"}, "'driving'"),
        ({"modalities": ("ego", "fron")}, "unknown modality 'fron'. Did you mean 'front'"),
        ({"modalities": ("front",)}, "without ego"),
        ({"contract": "driving", "modalities": ("ego", "front")}, "unknown modality"),
        ({"modalities": ("front", "ego"), "flat": True}, "made of bev and ego"),
    ):
        with pytest.raises(ValueError, match=message):
            config(**settings)


def test_a_collection_has_what_is_asked_for_whatever_it_is_called(tmp_path: Path) -> None:
    pytest.importorskip("minari")
    config = CollectConfig(tmp_path, 2, max_steps=6)
    assert not is_collected(config)
    write_minari(tmp_path / "data", [recording(seed) for seed in (0, 1)], "another-v0", "two episodes")
    assert is_collected(config) and not is_collected(replace(config, episodes=3))
    with pytest.raises(ValueError, match="max_steps 6, not 7"):
        is_collected(replace(config, max_steps=7))
