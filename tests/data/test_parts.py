"""Episodes that lack maps, agents, rewards, cameras or moments come back as they were, through every kind of file."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learned_sim_env.data.dataset import load_episodes, pack
from learned_sim_env.data.episode import PARTS, TRANSITIONS, Episode
from learned_sim_env.data.packed import PackedData
from learned_sim_env.data.packing import _to_nibbles
from learned_sim_env.data.splits import split_of
from learned_sim_env.data.store import EpisodeFolder, write_minari, write_npz
from learned_sim_env.spec import CONTRACTS, Fingerprints
from tests.data.recordings import CAMERAS, CONTRACT, recording, same

EARLIER = "ab7955c44586203843d12e0197353327a2abe2f472b902f1d69e86d3b6351c42"
EVERY = (*CAMERAS, "ego", "route", "bev")
SOME = np.array([True, False, True, True, False, True, False])
KINDS = {
    "all": recording(0),
    "no map": recording(1, parts=set(PARTS) - {"map"}),
    "no agents": recording(2, parts=set(PARTS) - {"agents"}),
    "no reward": recording(3, parts=set(PARTS) - {"reward", "events", "tags"}),
    "cameras": recording(4, modalities=EVERY),
    "no scenery": recording(7, parts=set(PARTS) - {"scenery"}, modalities=EVERY),
    "video": recording(5, parts=(), modalities=("front", "ego"), masks={"actions": np.zeros(7, bool)}, log="a/b.mcap"),
    "gaps": recording(
        6,
        parts=("pose", "agents"),
        modalities=("front", "left", "ego"),
        masks={"front": SOME, "agents": ~SOME, "actions": SOME, "pose": SOME},
        log="drive 7",
    ),
}


def camera_data(episodes: list[Episode]) -> PackedData:
    return PackedData.of(episodes, CONTRACT.fingerprints(EVERY))


@pytest.mark.parametrize("kind", KINDS)
def test_one_file_holds_what_there_was(kind: str, tmp_path: Path) -> None:
    folder, episode = EpisodeFolder(tmp_path), KINDS[kind]
    folder.write(episode)
    assert same(folder.read(episode.seed), episode)


@pytest.mark.parametrize("kind", KINDS)
def test_packed_alone_each_kind_comes_back(kind: str) -> None:
    packed = camera_data([KINDS[kind]])
    assert same(packed.episode(0), KINDS[kind])
    # What no episode has takes no space.
    assert set(packed.modalities) == set(KINDS[kind].observations)
    assert set(packed.arrays) | set(packed.frames) == set(KINDS[kind].arrays())


def test_what_is_not_known_for_long_is_filled_up() -> None:
    episodes = [recording(1, steps=300, parts=set(PARTS) - {"map", "agents"}), KINDS["all"], KINDS["no map"]]
    packed = camera_data(episodes)
    assert all(same(packed.episode(i), episode) for i, episode in enumerate(episodes))
    assert (packed.arrays["agent_ids"][:301] == -1).all() and not packed.known("map", slice(0, 301)).any()


def test_memory_does_not_grow_with_the_number_of_episodes(tmp_path: Path) -> None:
    whole = recording(0, steps=60)

    def peak(count: int) -> int:
        """[bytes] The most memory that writing so many episodes takes at a time."""
        tracemalloc.start()
        PackedData.save(tmp_path / "packed.npz", (whole for _ in range(count)), CONTRACT.fingerprints(EVERY))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(40) < 1.2 * peak(10)
    assert PackedData.load(tmp_path / "packed.npz").steps == 10 * 60


def test_minari_and_the_packed_file_hold_all_kinds_together(tmp_path: Path) -> None:
    minari = pytest.importorskip("minari")
    episodes = list(KINDS.values())
    write_minari(tmp_path / "data", episodes, "some-v0", "all kinds", contract=CONTRACT, names=EVERY)
    assert all(same(a, b) for a, b in zip(load_episodes(tmp_path), episodes, strict=True))
    packed = PackedData.load(pack(tmp_path))
    assert all(same(packed.episode(i), episode) for i, episode in enumerate(episodes))
    assert packed.fingerprints == CONTRACT.fingerprints(EVERY)
    # Others read it as well.
    dataset = minari.MinariDataset(tmp_path / "data")
    assert dataset.observation_space == CONTRACT.observation_space("classes", names=EVERY)
    for stored in dataset.iterate_episodes():
        first = {name: values[0] for name, values in stored.observations.items()}
        assert dataset.observation_space.contains(first)
    assert np.isnan(dataset[3].rewards).all() and not dataset[3].infos["valid"]["front"].any()


def test_frames_stay_on_disk(tmp_path: Path) -> None:
    episode = KINDS["cameras"]
    PackedData.save(tmp_path / "packed.npz", [episode, KINDS["all"], episode], CONTRACT.fingerprints(EVERY))
    packed = PackedData.load(tmp_path / "packed.npz")
    assert isinstance(packed.frames["left"]._data, np.memmap)
    rows = np.array([[15, 14], [3, 3]])
    left = episode.observations["left"]
    np.testing.assert_array_equal(packed.read("left", rows), [[left[1], left[0]], [left[3], left[3]]])
    # The episode between them has no cameras.
    assert not packed.known("left", np.arange(7, 14)).any() and packed.known("left", rows).all()
    assert not packed.read("left", slice(7, 14)).any()
    assert packed.frames["left"].nbytes < 0.7 * 14 * left[0].nbytes


def test_a_damaged_frame_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "packed.npz"
    PackedData.save(path, [KINDS["cameras"]], CONTRACT.fingerprints(EVERY))
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("frames").header_offset + 400
    content = bytearray(path.read_bytes())
    content[place] ^= 255
    path.write_bytes(content)
    with pytest.raises(ValueError, match="frame 0 is damaged"):
        PackedData.load(path).read("front", np.array([0]))


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_whatever_is_missing_comes_back_as_it_was(data: st.DataObject) -> None:
    episodes = []
    for seed in range(data.draw(st.integers(1, 3))):
        steps = data.draw(st.integers(1, 4))
        parts = data.draw(st.sets(st.sampled_from(sorted(PARTS))))
        modalities = data.draw(st.sets(st.sampled_from(["bev", "route", "front", "left"]))) | {"ego"}
        masks = {}
        for name in data.draw(st.sets(st.sampled_from(sorted(parts | modalities | {"actions"})))):
            mask = np.array(data.draw(st.lists(st.booleans(), min_size=steps + 1, max_size=steps + 1)))
            # One that is True everywhere is none; one that is nowhere means that the part is not there.
            if not mask.all() and (mask.any() or name in ("ego", "actions")):
                masks[name] = mask
        episodes.append(recording(seed, steps, parts, modalities, masks, data.draw(st.sampled_from(["", "log"]))))
    packed = camera_data(episodes)
    assert len(packed) == len(episodes) and packed.steps == sum(map(len, episodes))
    assert all(same(packed.episode(i), episode) for i, episode in enumerate(episodes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"agent_ids": None}, "the agents lacks agent_ids: give all of it or nothing"),
        ({"valid": {"agents": np.ones(6, bool)}}, r"valid\['agents'\] is bool \(6,\), expected bool \(7,\)"),
        ({"valid": {"map": np.zeros(7, bool)}}, "'map' is valid nowhere: leave it out"),
        ({"valid": {"front": np.ones(7, bool)}}, "'front' has a mask, but is not there"),
        ({"observations": {"bev": KINDS["all"].observations["bev"]}}, "there is no ego among the observations, bev"),
        ({"observations": {"ego": KINDS["all"].ego.astype(np.float64)}}, r"ego is float64 \(7, 6\), expected float32"),
        ({"observations": {"ego": KINDS["all"].ego, "map": np.zeros((7, 2), np.uint8)}}, "cannot be called 'map'"),
        ({"observations": {"ego": KINDS["all"].ego, "front": np.zeros((6, 2, 2, 3), np.uint8)}}, "front is uint8"),
        ({"rewards": np.zeros(6)}, r"rewards is float64 \(6,\), expected float32 \(6,\)"),
        ({"actions": np.zeros((5, 2), np.float32)}, "expected"),
    ],
)
def test_what_does_not_fit_is_named(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"episode 0: .*{message}"):
        replace(KINDS["all"], **change)


def test_modalities_are_those_of_the_contract(tmp_path: Path) -> None:
    KINDS["cameras"].check(CONTRACT)
    with pytest.raises(ValueError, match="unknown modality of contract 'driving': 'front'"):
        KINDS["cameras"].check(CONTRACTS["driving"])
    small = replace(
        KINDS["video"], observations={"ego": KINDS["video"].ego, "front": np.zeros((7, 32, 48, 3), np.uint8)}
    )
    with pytest.raises(
        ValueError, match=r"episode 5 of a/b.mcap: front is uint8 \(7, 32, 48, 3\), expected uint8 \(7, 64"
    ):
        small.check(CONTRACT)
    with pytest.raises(ValueError, match=r"front has shape \(32, 48, 3\), not \(64, 96, 3\) as before"):
        camera_data([KINDS["cameras"], small])
    wild = replace(KINDS["all"], observations={"ego": KINDS["all"].ego, "bev": np.full((7, 64, 64), 9, np.uint8)})
    with pytest.raises(ValueError, match="bev has the class 9; there are 0 to 8"):
        wild.check(CONTRACT)
    pytest.importorskip("minari")
    with pytest.raises(ValueError, match="episode 4 has the modalities front, left, right, route, not among bev, ego"):
        write_minari(tmp_path / "data", [KINDS["cameras"]], "some-v0", "cameras", contract=CONTRACT)


def test_data_says_what_it_was_recorded_with() -> None:
    packed = camera_data([KINDS["cameras"]])
    packed.check_contract(CONTRACT, ("front", "bev", "ego"))
    packed.check_contract(CONTRACTS["driving"])
    bev = PackedData.of([KINDS["all"]], CONTRACTS["driving"].fingerprints(("bev", "ego")))
    with pytest.raises(ValueError, match="the data has no modality 'front': it has bev, ego"):
        bev.check_contract(CONTRACT, ("front", "ego"))
    with pytest.raises(ValueError, match="unknown modality or array of the data: 'left'"):
        bev.read("left", np.array([0]))


def test_recordings_are_split_by_their_name() -> None:
    episodes = [recording(i, 1, (), ("ego",), log=f"log {i // 2}") for i in range(60)]
    packed = camera_data(episodes)
    split = {name: set(packed.split(name).logs) for name in ("train", "validation", "test")}
    assert all(split.values())
    assert sum(map(len, split.values())) == 30 == len(set().union(*split.values()))
    assert sum(len(packed.split(name)) for name in split) == 60
    # Seeds of recordings are numbers without a meaning.
    assert split_of(5_000_000, "log 1") == split_of(9, "log 1")


def write_layout_2(path: Path, episodes: list[Episode]) -> None:
    """As `pack` wrote it before modalities had names."""
    rows: dict[str, list[np.ndarray]] = defaultdict(list)
    for e in episodes:
        arrays = e.arrays()
        bev, ground = arrays.pop("bev"), arrays.pop("map")
        rows["map"].append(_to_nibbles(ground))
        rows["objects"].append(_to_nibbles(np.where(bev == ground, 0, bev)))
        for name, array in arrays.items():
            first = [np.zeros_like(array[:1])] if name in TRANSITIONS else []
            rows[name].append(np.concatenate([*first, array]))
    about = {
        "lengths": [len(e) + 1 for e in episodes],
        "seeds": [e.seed for e in episodes],
        "simulators": [e.simulator for e in episodes],
        "behaviours": [e.behaviour for e in episodes],
        "end_reasons": [e.end_reason for e in episodes],
        "layout": 2,
        "source": "elsewhere",
        "contract_fingerprint": EARLIER,
    }
    np.savez(path, **{k: np.array(v) for k, v in about.items()}, **{k: np.concatenate(v) for k, v in rows.items()})


def test_packed_files_of_the_layout_before_are_read(tmp_path: Path) -> None:
    episodes = [recording(seed, 3, set(PARTS) - {"scenery"}) for seed in (0, 9)]
    write_layout_2(tmp_path / "packed.npz", episodes)
    packed = PackedData.load(tmp_path / "packed.npz")
    assert all(same(packed.episode(i), episode) for i, episode in enumerate(episodes))
    packed.check_contract(CONTRACTS["driving"])
    assert packed.fingerprints == Fingerprints.parse(EARLIER)


def test_other_layouts_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "packed.npz", layout=np.array(1))
    with pytest.raises(ValueError, match="has layout 1, this version reads 2 and 3"):
        PackedData.load(tmp_path / "packed.npz")


def test_what_was_collected_before_is_read(tmp_path: Path) -> None:
    pytest.importorskip("minari")
    episode = recording(0, parts=set(PARTS) - {"scenery"})
    arrays = {("semantic" if name == "bev" else name): array for name, array in episode.arrays().items()}
    about = {name: np.array(value) for name, value in episode.metadata().items() if name != "log"}
    write_npz(tmp_path / "episodes" / "0.npz", {**arrays, **about})
    assert same(EpisodeFolder(tmp_path / "episodes").read(0), episode)
    write_minari(tmp_path / "data", [episode], "some-v0", "with one hash")
    metadata = tmp_path / "data" / "metadata.json"
    metadata.write_text(json.dumps({**json.loads(metadata.read_text()), "contract_fingerprint": EARLIER}))
    assert same(load_episodes(tmp_path)[0], episode)
    PackedData.load(pack(tmp_path)).check_contract(CONTRACTS["driving"])
