"""Many recordings, read by processes: one bad file costs that file, and what was read is not read again."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.data.dataset import load_episodes
from learned_sim_env.data.episode import PARTS
from learned_sim_env.data.imports import ImportConfig, look_at_all
from learned_sim_env.data.packed import PackedData
from learned_sim_env.data.recorded import episode_of
from learned_sim_env.data.splits import SPLITS
from learned_sim_env.recordings import formats
from learned_sim_env.recordings.drives import drives_of
from learned_sim_env.recordings.formats import scenarionet as scenarionet_format
from learned_sim_env.recordings.looking import look_at
from learned_sim_env.spec import RECORDED_SCENARIOS, SemanticClass
from tests.data.recordings import CONTRACT, recording, same
from tests.recordings.world import make_world
from tests.recordings.writers import gpudrive, scenarionet, table


@pytest.fixture(scope="module")
def logs(tmp_path_factory) -> Path:
    """Three recordings, of which one is damaged, and something else."""
    folder, world = tmp_path_factory.mktemp("logs"), make_world()
    table(folder, world)
    scenarionet(folder, world)
    whole = gpudrive(folder, world)
    whole.write_text(whole.read_text()[:-200])
    (folder / "readme.txt").write_text("hello")
    return folder


def test_reads_what_can_be_read(logs, tmp_path, capsys):
    report = look_at_all(ImportConfig(logs, tmp_path / "out", workers=2, check=True))
    assert report.failed and not report.broken
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (told["files"], told["drives"], told["frames"]) == (3, 2, 160)
    assert told["formats"] == {"table": 1, "gpudrive": 1, "scenarionet": 1}
    assert told["sources"]["steer"] == {"inverse": 2}
    (refused,) = (s for look in told["looks"] for s in look["refused"])
    assert refused.startswith("scene.json: scene.json is no whole JSON file")
    text = str(report)
    assert "2 drives, 160 frames" in text and "scene.json is no whole" in text
    assert not [p for p in (tmp_path / "out").rglob("*") if p.name.startswith(".unfinished")]
    speeds = told["histograms"]["speed"]
    assert sum(speeds) == 162 and sum(speeds[3:6]) == 162
    page = (tmp_path / "out" / "report.html").read_text()
    assert "scene.json is no whole JSON file" in page and "mine/0" in page
    assert page.count("Picture: ") == 2 and "Moments by speed and action" in page
    # What was recorded of each, and where labels are from.
    (about,) = (r for look in told["looks"] for name, r in look["recordings"].items() if name == "mine")
    assert about["rate"] == pytest.approx(10.0) and about["gap"] == pytest.approx(0.1) and about["map"]
    assert "tracks: labels of the data set" in page
    assert told["passed_over"] == {".txt": 1} and "no recordings themselves: 1 .txt" in text
    # Only the report, and what it shows, where recordings are looked at alone.
    assert {p.suffix for p in (tmp_path / "out").rglob("*") if p.is_file()} == {".json", ".html", ".png"}


def test_archives_in_a_folder_are_said_not_to_be_opened(logs, tmp_path):
    (tmp_path / "scene.pkl").write_bytes((logs / "scene.pkl").read_bytes())
    (tmp_path / "more.tar.gz").write_bytes(b"packed")
    report = look_at_all(ImportConfig(tmp_path, workers=1, check=True))
    assert "1 .tar.gz; archives are not opened" in str(report)
    # Where one format is asked for, what is of others is not spoken of.
    assert not look_at_all(ImportConfig(tmp_path, None, "scenarionet", workers=1, check=True)).passed_over


def test_goes_on_from_what_is_there(logs, tmp_path):
    config = ImportConfig(logs, tmp_path / "out", workers=1, check=True)
    first = look_at_all(config)
    records = {r: r.stat().st_mtime_ns for r in (tmp_path / "out" / "files").glob("*.json")}
    refused = {r for r in records if not json.loads(r.read_text())["drives"]}
    missing = next(r for r in records if r not in refused)
    missing.unlink()
    assert look_at_all(config).to_dict() == first.to_dict()
    # Only what was not there, and what could not be read, is read again.
    assert {r for r, time in records.items() if r.stat().st_mtime_ns != time} == {missing, *refused}


def test_nothing_is_half_written_of_what_is_damaged(logs, tmp_path):
    pytest.importorskip("minari", reason="Minari is not installed")
    folder, out = tmp_path / "damaged", tmp_path / "mine-v0"
    folder.mkdir()
    whole = (logs / "scene.pkl").read_bytes()
    (folder / "cut.pkl").write_bytes(whole[: len(whole) // 2])
    (folder / "hostile.pkl").write_bytes(b"tracks map_features metadata cos\nsystem\n(S'touch hacked'\ntR.")
    (folder / "empty.json").write_bytes(b"")
    (folder / "words.tfrecord").write_bytes(b"hello")
    report = look_at_all(ImportConfig(folder, out, workers=1))
    assert report.failed and not report.broken and {len(look.refused) for look in report.looks} == {1}
    assert not [p for p in out.rglob("*") if p.name.startswith(".unfinished")]
    assert {p.name for p in out.iterdir()} - {".lock"} == {"files", "report.json", "report.html"}
    assert {p.suffix for p in (out / "files").rglob("*")} == {".json"}


def test_a_file_that_has_changed_is_read_again(logs, tmp_path):
    config = ImportConfig(logs / "scene.pkl", tmp_path / "out", workers=1, check=True)
    assert not look_at_all(config).failed
    data = (logs / "scene.pkl").read_bytes()
    try:
        (logs / "scene.pkl").write_bytes(data[:-100])
        os.utime(logs / "scene.pkl", ns=(1, 1))
        assert look_at_all(config).failed
    finally:
        (logs / "scene.pkl").write_bytes(data)


def test_a_folder_that_has_changed_is_read_again(tmp_path, monkeypatch):
    mine, out = table(tmp_path, make_world()), tmp_path / "drive" / "out"
    out.mkdir()
    (found,) = look_at_all(ImportConfig(mine, out, workers=1, check=True)).looks
    (record,) = (out / "files").glob("*.json")
    # Not what is written into it, nor by what name it goes.
    monkeypatch.chdir(tmp_path)
    (again,) = look_at_all(ImportConfig(Path(mine.name), out, workers=1, check=True)).looks
    assert again == replace(found, file=mine.name) and list((out / "files").glob("*.json")) == [record]
    about = json.loads((mine / "about.json").read_text())
    (mine / "about.json").write_text(json.dumps({**about, "log": "another"}))
    (changed,) = look_at_all(ImportConfig(mine, out, workers=1, check=True)).looks
    assert [d["log"] for d in changed.drives] != [d["log"] for d in found.drives]


def test_what_must_not_be_read_costs_itself_only(logs, monkeypatch):
    real = scenarionet_format.recognises

    def recognises(path: Path) -> bool:
        if path.name == "readme.txt":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(scenarionet_format, "recognises", recognises)
    kinds = {path.name: kind for path, kind in formats.find(logs)}
    assert kinds == {
        "drive": "table",
        "readme.txt": "scenarionet",
        "scene.json": "gpudrive",
        "scene.pkl": "scenarionet",
    }


def test_nothing_is_kept_unasked(logs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    look_at_all(ImportConfig(logs / "scene.pkl", workers=1, check=True))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recording_format": "waimo"}, "Did you mean 'waymo'"),
        ({"workers": 0}, "at least 1"),
        ({"check": False}, "needs a folder"),
        ({"path": Path(__file__).parent / "nowhere"}, "does not exist"),
        ({"path": Path(__file__)}, "no recordings"),
    ],
)
def test_wrong_settings(changes, words, logs):
    with pytest.raises((ValueError, OSError), match=words):
        look_at_all(ImportConfig(**{"path": logs, "check": True, **changes}))


def test_makes_a_dataset(logs, tmp_path):
    pytest.importorskip("minari", reason="Minari is not installed")
    report = look_at_all(ImportConfig(logs, tmp_path / "mine-v0", workers=2))
    assert report.to_dict()["lacking"] == {}
    episodes = load_episodes(tmp_path / "mine-v0")
    assert "2 logs are too few of a kind to keep whole ones apart" in str(report)
    # Of eight seconds of each, three are for training and as many for validation, two seconds later.
    assert [(len(e), e.split) for e in episodes] == [(30, "train"), (30, "validation")] * 2
    assert "nothing for test" in str(report)
    world = make_world()
    for episode in episodes:
        first = {"train": 0, "validation": 50}[episode.split]
        assert (episode.simulator, episode.end_reason) == ("recorded", "time_limit")
        assert not episode.terminations.any() and episode.truncations.tolist() == [False] * 29 + [True]
        assert np.corrcoef(episode.actions[:, 0], -world.curvature[first : first + 30])[0, 1] > 0.98
        assert not episode.events.any()
        bev = episode.observations["bev"]
        assert (bev == SemanticClass.EGO).any((1, 2)).all() and (bev[10] == SemanticClass.ROUTE).sum() > 50
        assert set(episode.parts) == set(PARTS) - {"scenery"} and not episode.valid
        # The one that comes towards it is out of reach at first.
        assert (episode.agent_ids[10] >= 0).sum() >= 3
    assert {e.log for e in episodes} == {"monday", "waymo/scene-1"} and [e.seed for e in episodes] == list(
        RECORDED_SCENARIOS[:4]
    )
    packed = PackedData.load(tmp_path / "mine-v0" / "packed.npz")
    assert all(same(packed.episode(i), episode) for i, episode in enumerate(episodes))
    # What is done already is not done again, and gives the same.
    kept = sorted((tmp_path / "mine-v0" / "files").glob("*/*.npz"))
    before = [r.stat().st_mtime_ns for r in kept]
    look_at_all(ImportConfig(logs, tmp_path / "mine-v0", workers=1))
    assert len(before) == 2 and before == [r.stat().st_mtime_ns for r in kept]
    assert all(same(a, b) for a, b in zip(load_episodes(tmp_path / "mine-v0"), episodes, strict=True))


def test_what_was_not_recorded_is_not_in_the_dataset(tmp_path):
    pytest.importorskip("minari", reason="Minari is not installed")
    world = make_world()
    steer = np.linspace(-0.1, 0.1, len(world.times))
    for name, missing in (("bare", ("map.json", "lights.csv", "tracks.csv")), ("alone", ("tracks.csv",)), ("all", ())):
        (tmp_path / "logs" / name).mkdir(parents=True)
        path = table(tmp_path / "logs" / name, world, **({"steer": steer} if name == "all" else {}))
        for file in missing:
            (path / file).unlink()
        about = json.loads((path / "about.json").read_text())
        (path / "about.json").write_text(json.dumps({**about, "name": name, "log": name}))
    report = look_at_all(ImportConfig(tmp_path / "logs", tmp_path / "out", workers=1))
    assert report.to_dict()["lacking"] == {"map": 1, "others": 2}
    assert "bare/0: without a map: no view from above" in str(report)
    # Each lacks something else, so that all are cut in time.
    splits = report.to_dict()["splits"]
    assert [s["logs"] for s in splits.values()] == [["all", "alone", "bare"]] * 2 + [[]]
    packed = PackedData.load(tmp_path / "out" / "packed.npz")
    assert [len(packed.split(name)) for name in SPLITS] == [3, 3, 0]
    packed = packed.split("train")
    whole, alone, bare = (packed.episode(i) for i in range(3))
    assert [whole.log, alone.log, bare.log] == ["all", "alone", "bare"]
    assert set(bare.parts) == {"pose", "stations"} and set(bare.observations) == {"ego", "route"}
    assert set(alone.parts) == set(PARTS) - {"agents", "scenery", "tags"} and set(alone.observations) == {
        "ego",
        "route",
    }
    assert set(whole.parts) == set(PARTS) - {"scenery"} and set(whole.observations) == {"bev", "ego", "route"}
    assert len({e.seed for e in (alone, whole, bare)}) == 3


def test_actions_that_a_car_could_not_have_done_are_masked(tmp_path):
    drive = drives_of(next(iter(formats.read(table(tmp_path, make_world()), "table"))))[0]
    valid = np.ones_like(drive.controls.valid)
    valid[20:30, 0] = False
    episode = episode_of(replace(drive, controls=replace(drive.controls, valid=valid)), 3)
    # Masks stand at the moment that a step led to, and a reward also depends on the action before.
    assert np.flatnonzero(~episode.valid["actions"]).tolist() == list(range(21, 31))
    assert np.flatnonzero(~episode.valid["reward"]).tolist() == list(range(21, 32))
    assert not episode.actions[20:30].any() and episode.actions[:20].any()
    assert not episode.reward_terms[21:32].any() and not episode.rewards[20:31].any() and episode.rewards[:20].any()
    never = episode_of(replace(drive, controls=replace(drive.controls, valid=np.zeros_like(valid))), 3)
    assert "reward" not in never.parts and "events" in never.parts and not never.actions.any()


def test_pieces_of_a_log_share_their_split():
    episodes = [recording(k, 3, log=f"log {k // 5}") for k in range(200)]
    packed = PackedData.of(episodes, CONTRACT.fingerprints())
    logs = [set(packed.split(name).logs) for name in SPLITS]
    assert sum(map(len, logs)) == 40 == len(set.union(*logs)) and all(logs)


def test_files_that_cannot_be_read_now(logs, tmp_path, monkeypatch):
    def denied(*arguments):
        raise PermissionError("not for you")

    monkeypatch.setattr("learned_sim_env.recordings.formats.read", denied)
    look = look_at(logs / "scene.pkl", "scenarionet")
    assert look.refused == ["scene.pkl cannot be read: not for you"]
