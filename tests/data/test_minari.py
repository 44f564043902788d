"""Minari finds the datasets by name, and the environments that they fit, dream and twin."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import learned_sim_env  # noqa: F401  registers the ids
from learned_sim_env.data.collect import CollectConfig, collect
from learned_sim_env.data.dataset import iterate_episodes, load_episodes
from learned_sim_env.data.store import minari_id, write_minari
from learned_sim_env.reinforcement.wrappers import RayObservation

minari = pytest.importorskip("minari", reason="needs the extra [train]")
FLAT = "metadrive-train-flat-v0"


@pytest.fixture
def found(collection: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The collection, where Minari looks."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(collection.parent))
    return collection


def test_minari_lists_them(found: Path) -> None:
    assert {"metadrive-train-v0", FLAT} <= set(minari.list_local_datasets())
    done = subprocess.run([sys.executable, "-m", "minari.cli", "list", "local"], capture_output=True, text=True)
    assert "metadrive-train" in done.stdout, done.stderr


@pytest.mark.parametrize(("dataset_id", "obs_type"), [("metadrive-train-v0", "classes"), (FLAT, "flat")])
def test_the_environment_is_recovered_and_fits(found: Path, dataset_id: str, obs_type: str) -> None:
    dataset = minari.load_dataset(dataset_id)
    twin, dream = dataset.recover_environment(), gym.make("LearnedDriving-v0", obs_type=obs_type)
    episode = dataset[0]
    for env in (twin, dream):
        assert env.observation_space == dataset.observation_space
        assert env.action_space == dataset.action_space
    assert twin.spec.max_episode_steps == 25
    # It is the environment that the episode was recorded in, step by step.
    observation, _ = twin.reset(seed=6)
    rewards = []
    for t, action in enumerate(episode.actions):
        stored = episode.observations
        stored = {k: v[t] for k, v in stored.items()} if isinstance(stored, dict) else stored[t]
        for mine, theirs in zip(
            gym.spaces.flatten(twin.observation_space, observation), gym.spaces.flatten(twin.observation_space, stored)
        ):
            assert mine == pytest.approx(theirs, abs=1e-5)
        observation, reward, terminated, truncated, _ = twin.step(action)
        rewards.append(reward)
    assert rewards == pytest.approx(episode.rewards.tolist(), abs=1e-5)
    assert (terminated, truncated) == (episode.terminations[-1], episode.truncations[-1])
    twin.close()


def test_flat_observations_are_ray_features(found: Path) -> None:
    for recorded, flat in zip(load_episodes(found), minari.load_dataset(FLAT).iterate_episodes(), strict=True):
        sight = RayObservation(gym.make("LearnedDriving-v0", obs_type="classes"))
        seen = [
            sight.observation({"semantic": s, "ego": e}) for s, e in zip(recorded.observations["bev"], recorded.ego)
        ]
        assert np.array_equal(flat.observations, seen)
        assert np.array_equal(flat.rewards, recorded.rewards)


def test_flat_is_no_collection(found: Path) -> None:
    with pytest.raises(ValueError, match="flat observations only: name the collection"):
        next(iterate_episodes(found.parent / FLAT))


def test_sets_without_an_environment_are_read_and_made_anew(found: Path, tmp_path: Path) -> None:
    episodes = load_episodes(found)[:1]
    folder = tmp_path / "old-v3"
    config = CollectConfig(out=folder, episodes=1, seed_start=6, max_steps=25, workers=1)
    (folder / "episodes").mkdir(parents=True)
    source = found / "episodes" / "6.npz"
    (folder / "episodes" / "6.npz").write_bytes(source.read_bytes())
    write_minari(folder / "data", episodes, "metadrive-train-v0", "as it was")
    assert np.array_equal(load_episodes(folder)[0].observations["bev"], episodes[0].observations["bev"])
    assert collect(config).episodes == 1
    metadata = json.loads((folder / "data" / "metadata.json").read_text())
    assert metadata["dataset_id"] == "old-v3" and "MetaDriveDriving-v0" in metadata["env_spec"]
    assert np.array_equal(load_episodes(folder)[0].observations["bev"], episodes[0].observations["bev"])


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("root/driving/mine-v2", "driving/mine-v2"),
        ("root/mine-v2", "mine-v2"),
        ("elsewhere/mine-v2", "mine-v2"),
        ("elsewhere/mine", "usual-v0"),
        ("root/mine", "usual-v0"),
    ],
)
def test_names_are_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, name: str) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "root"))
    assert minari_id(tmp_path / folder, "usual-v0") == name


def test_d3rlpy_gets_it(found: Path) -> None:
    datasets = pytest.importorskip("d3rlpy.datasets", reason="needs d3rlpy")
    dataset, env = datasets.get_minari(FLAT)
    assert dataset.size() == 5
    assert env.observation_space.shape == dataset.episodes[0].observations.shape[1:]
    env.close()


def test_the_folder_beside_it() -> None:
    for name, flat in (("some-v3", "some-flat-v3"), ("some", "some-flat-v0")):
        assert CollectConfig(Path(name), 1).flat_folder == Path(flat).resolve()
