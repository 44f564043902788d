"""What is damaged, of another flavour or hostile is refused in a sentence that names the file and what is wrong."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.recordings import formats
from learned_sim_env.recordings.looking import look_at
from tests.recordings import writers
from tests.recordings.conftest import WRITERS


def refusal(path: Path, name: str | None = None) -> str:
    """Why nothing of a recording can be used."""
    look = look_at(path, name or formats.format_of(path) or "table")
    assert not look.drives
    (sentence,) = look.refused
    assert "Traceback" not in sentence and "\n" not in sentence and len(sentence) < 600
    assert path.name in sentence
    return sentence


# The file of each format that is cut off in its middle, and words of what is said of it.
CUT = {
    "scenarionet": ("scene.pkl", "no whole pickle"),
    "metadrive": ("old.pkl", "no whole pickle"),
    "waymo": ("scenario.tfrecord", "cut off"),
    "gpudrive": ("scene.json", "no whole JSON"),
    "argoverse2": ("abc/scenario_abc.parquet", "no whole parquet"),
    "argoverse2-sensor": ("log/city_SE3_egovehicle.feather", "no whole feather"),
    "nuscenes": ("nuscenes/v1.0-mini/ego_pose.json", "ego_pose.json is no whole JSON"),
    "nuplan": ("log.db", "no whole database"),
    "commonroad": ("scenario.xml", "no whole XML"),
    "comma": ("drive/7/global_pose/frame_positions", "frame_positions is no NumPy array"),
    "rosbag": ("drive/drive.mcap", "no whole bag"),
    "rosbag-ros1": ("drive.bag", "no whole bag"),
}


@pytest.mark.parametrize("name", CUT)
def test_cut_off(name, write, tmp_path):
    path = write(name)
    inner, words = CUT[name]
    data = (tmp_path / inner).read_bytes()
    (tmp_path / inner).write_bytes(data[: len(data) * 6 // 10])
    assert words in refusal(path, name.removesuffix("-ros1"))


@pytest.mark.parametrize("name", [n for n in WRITERS if n not in CUT])
def test_empty_files(name, write, tmp_path):
    path = write(name)
    kind = formats.format_of(path)
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            file.write_bytes(b"")
    refusal(path, kind)


def changed(folder: Path, world, change) -> Path:
    """A ScenarioNet scene with something done to it."""
    path = writers.scenarionet(folder, world)
    scene = pickle.loads(path.read_bytes())
    change(scene)
    path.write_bytes(pickle.dumps(scene))
    return path


def nan(scene):
    scene["tracks"]["ego"]["state"]["position"][7, 0] = np.nan


def backwards(scene):
    scene["metadata"]["ts"] = scene["metadata"]["ts"][::-1]


def milliseconds(scene):
    scene["metadata"]["ts"] = scene["metadata"]["ts"] * 1000


def microseconds(scene):
    scene["metadata"]["ts"] = scene["metadata"]["ts"] * 1e6


def centimetres(scene):
    scene["tracks"]["ego"]["state"]["position"] = scene["tracks"]["ego"]["state"]["position"] * 100


def degrees(scene):
    scene["tracks"]["ego"]["state"]["heading"] = np.degrees(scene["tracks"]["ego"]["state"]["heading"])


def reversed_headings(scene):
    scene["tracks"]["ego"]["state"]["heading"] = scene["tracks"]["ego"]["state"]["heading"] + np.pi


def clockwise(scene):
    scene["tracks"]["ego"]["state"]["heading"] = -scene["tracks"]["ego"]["state"]["heading"]


def without_map(scene):
    del scene["map_features"]


def broken_map(scene):
    scene["map_features"]["00"]["polyline"][3] = np.nan


def without_ego(scene):
    del scene["tracks"]["ego"]


def never_valid(scene):
    scene["tracks"]["ego"]["state"]["valid"][:] = 0


def short_track(scene):
    scene["tracks"]["lead"]["state"]["heading"] = scene["tracks"]["lead"]["state"]["heading"][:-3]


def flat(scene):
    scene["tracks"]["ego"]["state"]["width"][:] = 0.0


def standing(scene):
    for name in ("position", "heading"):
        scene["tracks"]["ego"]["state"][name][:] = scene["tracks"]["ego"]["state"][name][0]


def jumping(scene):
    rng = np.random.default_rng(0)
    scene["tracks"]["ego"]["state"]["position"][:, :2] += rng.normal(0, 40, (len(scene["metadata"]["ts"]), 2))


def brief(scene):
    scene["tracks"]["ego"]["state"]["valid"][15:] = 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (nan, "not finite"),
        (backwards, "run backwards"),
        (milliseconds, "are they seconds"),
        (microseconds, "are they seconds"),
        (centimetres, "are its places metres"),
        (degrees, "are they degrees"),
        (reversed_headings, "backwards all the time"),
        (clockwise, "beside where it points"),
        (without_map, "no 'map_features'"),
        (broken_map, "map feature 00 has points that are not finite"),
        (without_ego, "its ego, track 'ego', is not among"),
        (never_valid, "fewer than 2 moments"),
        (short_track, "78 values of 'heading' at 81 moments"),
        (flat, "cannot be"),
        (standing, "stands still"),
        (jumping, "m/s|jump"),
        (brief, "less than 3 s"),
    ],
)
def test_wrong_numbers(change, words, world, tmp_path):
    said = refusal(changed(tmp_path, world, change), "scenarionet")
    assert any(word in said for word in words.split("|")), said


def test_two_scenes_of_which_one_is_damaged(world, tmp_path):
    pytest.importorskip("google.protobuf")
    good = writers.scenario(world)
    bad = writers.scenario(world)
    bad.sdc_track_index = 99
    path = tmp_path / "two.tfrecord"
    path.write_bytes(b"".join(writers.tfrecord(s.SerializeToString()) for s in (bad, good)))
    look = look_at(path, "waymo")
    assert len(look.drives) == 1
    assert "record 0: its ego, track 99, is none of 5" in look.refused[0]


def test_other_flavours(world, tmp_path):
    pytest.importorskip("google.protobuf")
    example = tmp_path / "example.tfrecord"
    example.write_bytes(writers.tfrecord(b"\x0a\x10roadgraph_samples/xyz" + b"state/current/x" * 9))
    assert "tf.Example" in refusal(example)
    solution = tmp_path / "solution.xml"
    solution.write_text('<?xml version="1.0"?><CommonRoadSolution benchmark_id="KS2:SM1:A:2020a"/>')
    assert "take the scenario" in refusal(solution)
    listed = tmp_path / "listed.pkl"
    listed.write_bytes(pickle.dumps(("tracks", "map_features", "metadata")))
    assert "another version" in refusal(listed)
    tub = tmp_path / "tub"
    tub.mkdir()
    (tub / "manifest.json").write_text("{}")
    (tub / "catalog_0.catalog").write_text("{}")
    assert "where the car was is not in it" in refusal(tub)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("ego.csv", "time,x,y\n0,0,0\n0.1,here,0\n", "'here' in column 'x', row 2"),
        ("ego.csv", "time,x,y\n0,0,0\n0.1,1\n", "2 cells in line 3"),
        ("ego.csv", "time,x,z\n0,0,0\n0.1,1,1\n", "no column 'y'"),
        ("ego.csv", "time,x,y\n", "no rows"),
        ("ego.csv", "time,x,y\n0,0,0\n1,,0\n", "not finite"),
        ("map.json", '{"lanes": []}', "no 'lanes'"),
        ("map.json", '{"lanes": [{"id": "a"}]}', "neither a centre"),
        ("map.json", '{"lanes": [{"id": "a", "centre": [[0, 1], [null, 2]]}]}', "not finite"),
        ("map.json", "[" * 100_000, "no whole JSON|nested too deeply"),
        ("about.json", "[]", "holds a list"),
        ("tracks.csv", "time,x,y,heading\n0,0,0,0\n", "no column 'id'"),
    ],
)
def test_tables(name, content, words, world, tmp_path):
    path = writers.table(tmp_path, world)
    (path / name).write_text(content)
    said = refusal(path, "table")
    assert any(word in said for word in words.split("|")), said


def test_missing_parts_are_noted_or_named(world, tmp_path):
    pytest.importorskip("pyarrow")
    path = writers.argoverse2(tmp_path, world)
    (path / "log_map_archive_abc.json").unlink()
    look = look_at(path, "argoverse2")
    assert len(look.drives) == 1 and look.drives[0]["on_lane"] is None
    assert any("there is no map" in s for s in look.warnings["abc"])
    tables = writers.nuscenes(tmp_path, world)
    (tables / "v1.0-mini" / "instance.json").unlink()
    assert "instance.json is missing" in refusal(tables)


def test_tables_that_refer_to_nothing(world, tmp_path):
    path = writers.nuscenes(tmp_path, world)
    file = path / "v1.0-mini" / "ego_pose.json"
    file.write_text(json.dumps(json.loads(file.read_text())[:-1]))
    assert "ego_pose.json has no row 'e80'" in refusal(path)


def test_archives_and_strangers(write, tmp_path):
    scene = write("scenarionet")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        # A bomb of a gigabyte; it is not opened.
        archive.writestr("bomb", b"\0" * 2**24)
        archive.write(scene, "../../outside.pkl")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(scene, "/absolute.pkl")
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "a.xodr").write_text("<OpenDRIVE/>")
    (tmp_path / "b.pkl").write_bytes(b"")
    said = {
        "a.zip": "archive",
        "a.tar.gz": "archive",
        "a.txt": "known format",
        "b.pkl": "empty",
        "a.xodr": "OpenDRIVE map",
    }
    for name, words in said.items():
        with pytest.raises(formats.RecordingError, match=words):
            list(formats.read(tmp_path / name))
    assert [path for path, _ in formats.find(tmp_path)] == [scene]


def test_links_are_not_followed(write, tmp_path):
    write("scenarionet")
    inner = tmp_path / "inner"
    inner.mkdir()
    try:
        os.symlink(tmp_path, inner / "up")
    except OSError:
        pytest.skip("this system has no links")
    assert len(list(formats.find(tmp_path))) == 1


def test_pictures_outside_the_folder_are_not_looked_at(world, tmp_path):
    path = writers.nuscenes(tmp_path, world)
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"x")
    file = path / "v1.0-mini" / "sample_data.json"
    rows = json.loads(file.read_text())
    for row, name in zip(rows, (str(secret), "../secret.jpg")):
        row.update(filename=name, fileformat="jpg")
    file.write_text(json.dumps(rows))
    (recording,) = formats.read(path)
    assert recording.cameras == ()


class Runs:
    """What runs when it is unpickled freely."""

    def __reduce__(self):
        return exec, ("open('hacked', 'w')",)


def test_array_of_objects(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write("comma")
    with open(path / "global_pose" / "frame_positions", "wb") as file:
        np.save(file, np.array([Runs()], object), allow_pickle=True)
    assert "frame_positions is no NumPy array (Object arrays" in refusal(path)
    assert not (tmp_path / "hacked").exists()


def test_yaml_that_names_objects(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write("rosbag")
    about = path / "metadata.yaml"
    about.write_text(about.read_text() + "\na: !!python/object/apply:os.system ['touch hacked']\n")
    look_at(path, "rosbag")
    assert not (tmp_path / "hacked").exists()


def test_yaml_bomb(write):
    path = write("rosbag")
    about = path / "metadata.yaml"
    about.write_text(about.read_text() + "\na: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n")
    assert "anchors or aliases" in refusal(path)


def test_xml_bomb(write):
    path = write("commonroad")
    bomb = '<!DOCTYPE a [<!ENTITY b "xxxxxxxx"><!ENTITY c "&b;&b;&b;">]>'
    path.write_text(path.read_text().replace("<commonRoad", bomb + "<commonRoad", 1))
    assert "declares entities" in refusal(path)


def test_bag_without_its_file(write):
    path = write("rosbag")
    (path / "drive.mcap").unlink()
    assert "not the bag" in refusal(path)


def test_bag_whose_topics_say_nothing(write, world):
    path = write("rosbag")
    shutil.copy(path / "drive.mcap", path.parent / "alone.mcap")
    (path.parent / "learned-sim.toml").write_text('[ego]\ntopic = "/odo"\nx = "x"\ny = "y"\n')
    assert "Did you mean '/odom'" in refusal(path.parent / "alone.mcap")
    (path.parent / "learned-sim.toml").write_text('[ego]\ntopic = "/odom"\nx = "pose.x"\ny = "pose.y"\n')
    assert "no field 'pose.x'" in refusal(path.parent / "alone.mcap")
    (path.parent / "learned-sim.toml").write_text("[ego")
    assert "no TOML" in refusal(path.parent / "alone.mcap")
