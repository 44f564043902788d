"""The Minari dataset and the packed file hold exactly what was recorded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from learned_sim_env.data.dataset import PackedData, iterate_episodes, load_episodes, pack
from learned_sim_env.data.episode import MOMENTS, PARTS, TRANSITIONS
from learned_sim_env.data.splits import split_of
from learned_sim_env.data.store import EpisodeFolder, write_minari
from learned_sim_env.spec import CONTRACTS
from tests.data.recordings import same

# Writes a dataset where no file may grow beyond so many bytes.
FULL = """
import resource, sys
from pathlib import Path
from learned_sim_env.data.store import write_minari
from learned_sim_env.files import DiskFull
from tests.evaluation.world import episodes
if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    try:
        write_minari(Path(sys.argv[1]) / "data", episodes(), "some-v0", "many episodes")
    except DiskFull as error:
        print(error)
"""


def test_minari_opens_it_and_holds_what_was_recorded(collection: Path) -> None:
    minari = pytest.importorskip("minari")
    dataset = minari.MinariDataset(collection / "data")
    recorded = list(EpisodeFolder(collection / "episodes"))
    assert dataset.total_episodes == len(recorded) == 5
    assert dataset.total_steps == sum(map(len, recorded))
    assert isinstance(dataset.observation_space, gym.spaces.Dict)
    metadata = dataset.storage.get_episode_metadata(range(5))
    for stored, about, episode in zip(dataset.iterate_episodes(), metadata, recorded, strict=True):
        assert set(stored.observations) == {"semantic", "ego"}
        assert set(stored.infos) == set(MOMENTS) - {*PARTS["scenery"]}
        np.testing.assert_array_equal(stored.observations["semantic"], episode.observations["bev"])
        np.testing.assert_array_equal(stored.observations["ego"], episode.ego)
        for name in stored.infos:
            np.testing.assert_array_equal(stored.infos[name], getattr(episode, name), err_msg=name)
        for name in TRANSITIONS:
            np.testing.assert_array_equal(getattr(stored, name), getattr(episode, name), err_msg=name)
        assert {name: about[name] for name in episode.metadata()} == episode.metadata()
        first = {name: values[0] for name, values in stored.observations.items()}
        assert dataset.observation_space.contains(first)
        assert all(dataset.action_space.contains(action) for action in stored.actions)


def test_episodes_are_read_as_they_were_recorded(collection: Path) -> None:
    recorded = EpisodeFolder(collection / "episodes")
    assert all(same(a, b) for a, b in zip(iterate_episodes(collection), recorded, strict=True))


def test_splits_divide_the_seeds(collection: Path) -> None:
    assert [e.seed for e in load_episodes(collection, "train")] == [6, 7, 8, 10]
    assert [e.seed for e in load_episodes(collection, "validation")] == [9]
    assert load_episodes(collection, "test") == []
    with pytest.raises(ValueError, match="'validation'"):
        load_episodes(collection, "valid")


def test_split_of_a_seed() -> None:
    assert [split_of(seed) for seed in (0, 9, 999_999, 1_000_000, 1_999_999)] == [
        "train",
        "validation",
        "validation",
        "test",
        "test",
    ]
    for seed in (-1, 2_000_000):
        with pytest.raises(ValueError, match=str(seed)):
            split_of(seed)


def test_packing_loses_nothing(collection: Path) -> None:
    packed = PackedData.load(pack(collection))
    episodes = load_episodes(collection)
    assert len(packed) == len(episodes)
    assert packed.steps == sum(map(len, episodes))
    assert packed.fingerprints == CONTRACTS["driving"].fingerprints(("bev", "ego"))
    assert all(same(packed.episode(i), episode) for i, episode in enumerate(episodes))


def test_packed_actions_stand_where_they_led_to(collection: Path) -> None:
    packed = PackedData.load(pack(collection))
    np.testing.assert_array_equal(packed.arrays["actions"], packed.arrays["ego"][:, 2:4])
    np.testing.assert_array_equal(packed.arrays["rewards"][packed.starts], 0.0)


def test_packed_splits_share_the_arrays(collection: Path) -> None:
    packed = PackedData.load(pack(collection))
    train, validation = packed.split("train"), packed.split("validation")
    assert train.seeds.tolist() == [6, 7, 8, 10]
    assert validation.seeds.tolist() == [9]
    assert validation.arrays is packed.arrays
    assert validation.episode(0).metadata() == packed.episode(3).metadata()
    assert len(packed.split("test")) == 0
    with pytest.raises(ValueError, match="unknown split"):
        packed.split("trian")


def test_packing_is_repeated_only_when_the_dataset_changed(collection: Path, tmp_path: Path) -> None:
    episodes = load_episodes(collection)
    write_minari(tmp_path / "data", episodes[:2], "some-v0", "two episodes")
    path = pack(tmp_path)
    os.utime(path, (0, 0))
    assert pack(tmp_path).stat().st_mtime == 0
    write_minari(tmp_path / "data", episodes[:3], "some-v0", "three episodes")
    assert len(PackedData.load(pack(tmp_path))) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "packed.npz"]


def test_a_failed_write_leaves_the_old_dataset(collection: Path, tmp_path: Path) -> None:
    episodes = load_episodes(collection)
    write_minari(tmp_path / "data", episodes[:2], "some-v0", "two episodes")

    with pytest.raises(AttributeError, match="seed"):
        write_minari(tmp_path / "data", [episodes[0], "not an episode"], "some-v0", "broken")  # type: ignore[list-item]
    assert len(load_episodes(tmp_path)) == 2 and os.listdir(tmp_path) == ["data"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_full_disk_is_an_error_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(FULL)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "out")],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, ""), "HDF5 has crashed: it cannot close a file that it could not write"
    assert "out/data cannot be written: File too large" in done.stdout
    assert os.listdir(tmp_path / "out") == []


def test_a_folder_may_be_named_from_where_one_is(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("some").mkdir()
    write_minari(Path("some/data"), load_episodes(collection)[:2], "some-v0", "two episodes")
    assert len(load_episodes("some")) == 2


def test_nothing_to_pack(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="name a folder that learned-sim collect or import has written"):
        pack(tmp_path)
