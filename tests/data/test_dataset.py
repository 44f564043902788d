"""The Minari dataset and the packed file hold exactly what was recorded."""

from __future__ import annotations

import os
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from learned_sim_env.data.dataset import PackedData, iterate_episodes, load_episodes, pack
from learned_sim_env.data.episode import INFOS, OBSERVATIONS, TRANSITIONS, Episode
from learned_sim_env.data.splits import split_of
from learned_sim_env.data.store import EpisodeFolder, write_minari
from learned_sim_env.spec import CONTRACTS


def same(a: Episode, b: Episode) -> bool:
    arrays = b.arrays()
    return a.metadata() == b.metadata() and all(np.array_equal(v, arrays[k]) for k, v in a.arrays().items())


def test_minari_opens_it_and_holds_what_was_recorded(collection: Path) -> None:
    minari = pytest.importorskip("minari")
    dataset = minari.MinariDataset(collection / "data")
    recorded = list(EpisodeFolder(collection / "episodes"))
    assert dataset.total_episodes == len(recorded) == 5
    assert dataset.total_steps == sum(map(len, recorded))
    assert isinstance(dataset.observation_space, gym.spaces.Dict)
    metadata = dataset.storage.get_episode_metadata(range(5))
    for stored, about, episode in zip(dataset.iterate_episodes(), metadata, recorded, strict=True):
        for group, names in ((stored.observations, OBSERVATIONS), (stored.infos, INFOS)):
            for name in names:
                np.testing.assert_array_equal(group[name], getattr(episode, name), err_msg=name)
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
    assert packed.contract_fingerprint == CONTRACTS["driving"].fingerprint()
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

    def breaking():  # type: ignore[no-untyped-def]
        yield episodes[0]
        raise OSError("disk is full")

    with pytest.raises(OSError, match="disk is full"):
        write_minari(tmp_path / "data", breaking(), "some-v0", "broken")
    assert len(load_episodes(tmp_path)) == 2


def test_a_folder_may_be_named_from_where_one_is(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("some").mkdir()
    write_minari(Path("some/data"), load_episodes(collection)[:2], "some-v0", "two episodes")
    assert len(load_episodes("some")) == 2


def test_nothing_to_pack(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="collect one first"):
        pack(tmp_path)
