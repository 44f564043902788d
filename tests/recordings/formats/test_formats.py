"""Every format says the same of the same drive."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.recordings import formats, lines
from learned_sim_env.recordings.checks import figures
from learned_sim_env.recordings.drives import drives_of
from learned_sim_env.recordings.recording import Recording, RecordingError
from learned_sim_env.scene import to_frame
from learned_sim_env.spec import CameraSpec, SemanticClass
from tests.recordings import writers
from tests.recordings.conftest import WRITERS

# Which say nothing of others, of the road, of the size of the car; and which say what was done.
ALONE = ("comma", "rosbag", "rosbag-ros1")
ROADLESS = (*ALONE, "rosbag-autoware", "nuplan-plain", "nuscenes-plain")
STEERING = ("nuscenes", "comma", "rosbag", "rosbag-ros1", "rosbag-autoware")
LIT = ("scenarionet", "waymo", "table")
ALL = pytest.mark.parametrize("name", WRITERS)


def only(path: Path) -> Recording:
    (found,) = formats.read(path)
    assert isinstance(found, Recording)
    return found


@ALL
def test_is_found_by_itself(name, write):
    path = write(name)
    assert [(p, kind) for p, kind in formats.find(path)] == [(path, formats.format_of(path))]
    assert name.startswith(formats.format_of(path)) or name == "nocturne"


@ALL
def test_actions_lead_along_the_recorded_path(name, write):
    for drive in drives_of(only(write(name))):
        assert figures(drive).replay < 0.1
        assert drive.controls.valid.all()


@ALL
def test_path_and_speed(name, write, world):
    (drive,) = drives_of(only(write(name)))
    truth = world.rear[:, :2] - world.rear[0, :2]
    moved = drive.states[:, :2] - drive.states[0, :2]
    # Formats that keep the box's middle leave the rear axle to be guessed.
    turned = np.arctan2(*(truth[-1] / moved[-1])[::-1]) if name == "comma" else 0.0
    assert np.abs(moved - truth[: len(moved)]).max() < 0.25, turned
    assert np.abs(drive.states[:, 3] - world.speeds[: len(moved)]).max() < 0.3


@ALL
def test_left_turns_are_negative_steering(name, write, world):
    (drive,) = drives_of(only(write(name)))
    curvature = world.curvature[: len(drive)]
    steer = drive.controls.actions[:, 0]
    assert np.corrcoef(steer, -curvature)[0, 1] > 0.98
    assert drive.controls.sources[0] == ("measured" if name in STEERING else "inverse")
    assert steer.min() < -0.05 < 0.05 < steer.max()


@ALL
def test_others(name, write, world):
    (drive,) = drives_of(only(write(name)))
    if name in ALONE:
        assert drive.others is None
        return
    present = [m for m in world.movers if not (name.startswith("commonroad") and m.name in ("lead", "back"))]
    scene = drive.scene(40)
    assert len(scene.agents) == len(present)
    ego = world.middle[40]
    seen = to_frame(scene.agents.poses[:, :2].astype(float), scene.ego.pose)
    for mover in present:
        expected = to_frame(mover.poses[40, :2], ego)
        away = np.hypot(*(seen - expected).T)
        row = int(away.argmin())
        assert away[row] < 0.4, mover.name
        kind = {"VEHICLE": SemanticClass.VEHICLE, "PEDESTRIAN": SemanticClass.PEDESTRIAN}.get(mover.kind)
        assert scene.agents.classes[row] == (SemanticClass.STATIC_OBJECT if kind is None else kind)
        if kind is not None:
            speed = np.hypot(*(mover.poses[40, :2] - mover.poses[34, :2])) / 0.6
            assert abs(np.hypot(*scene.agents.velocities[row]) - speed) < 0.3
            turn = scene.agents.poses[row, 2] - scene.ego.heading - (mover.poses[40, 2] - ego[2])
            assert abs((turn + np.pi) % (2 * np.pi) - np.pi) < 0.1


@ALL
def test_road(name, write, world):
    drive = drives_of(only(write(name)))[0]
    assert drive.has_map == (name not in ROADLESS)
    assert drive.road.route == ("driven" if name in ROADLESS else "map")
    assert figures(drive).on_lane == (None if name in ROADLESS else 1.0)
    # The route goes on: nobody arrives because a recording ends.
    route, end = drive.road.road_map.route, drive.scene(len(drive)).ego.pose[:2]
    assert np.hypot(*(route[-1] - end)) > 40.0
    if name not in ROADLESS:
        centre = world.lane(0) - drive.origin
        inside = (np.hypot(*(centre - end).T) < 40.0) & (np.hypot(*(centre - end).T) > 3.0)
        assert lines.nearest(route, centre[inside])[1].max() < 0.3
        on_route = [lane for lane in drive.road.road_map.lanes if lane.on_route]
        assert 1 <= len(on_route) <= 4


@pytest.mark.parametrize("name", LIT)
def test_lights(name, write, world):
    (drive,) = drives_of(only(write(name)))
    (line,) = drive.scene(20).closed_lines
    stop = world.lane(0)[80] - drive.origin
    assert np.hypot(*(line.points.mean(0) - stop)) < 0.1
    along = np.diff(line.points, axis=0)[0] @ (world.lane(0)[81] - world.lane(0)[80])
    assert abs(along) < 0.1
    assert not drive.scene(60).closed_lines


def test_log_decides_the_split(write):
    assert only(write("table")).log == "monday"


def test_ego_that_is_recorded_twice(write, world, tmp_path):
    path = write("table")
    with open(path / "tracks.csv", "a") as file:
        for time, (x, y, heading) in zip(world.times, world.middle):
            file.write(f"\n{time},self,car,{x + 0.1},{y},{heading},4.8,1.9")
    (drive,) = drives_of(only(path))
    assert drive.others is not None and len(drive.others.kinds) == 4
    assert any("the ego itself" in note for note in drive.notes)


def test_folder_of_many_formats(write, tmp_path):
    for name in ("scenarionet", "gpudrive", "nuscenes"):
        write(name)
    (tmp_path / "notes.txt").write_text("nothing")
    found = {kind for _, kind in formats.find(tmp_path)}
    assert found == {"scenarionet", "gpudrive", "nuscenes"}


def test_units_in_names_of_columns(world, tmp_path):
    from tests.recordings.writers import write_csv

    path = tmp_path / "ego.csv"
    columns = {
        "time_us": world.times * 1e6,
        "x": world.rear[:, 0],
        "y": world.rear[:, 1],
        "heading_deg": np.degrees(world.rear[:, 2]),
        "speed_kmh": world.speeds * 3.6,
    }
    write_csv(path, columns)
    recording = only(path)
    assert recording.ego.headings is not None
    assert np.allclose(recording.ego.headings, world.rear[:, 2])
    assert np.allclose(recording.signals["speed"].values, world.speeds)
    assert np.allclose(recording.ego.times, world.times, atol=1e-6)


def test_headings_that_are_not_recorded(world, tmp_path):
    from tests.recordings.writers import write_csv

    path = tmp_path / "ego.csv"
    write_csv(path, {"time": world.times, "x": world.rear[:, 0], "y": world.rear[:, 1]})
    (drive,) = drives_of(only(path))
    turned = np.abs(drive.states[5:-5, 2] - world.rear[5:-5, 2])
    assert np.abs((turned + np.pi) % (2 * np.pi) - np.pi).max() < 0.05


def test_rows_of_a_long_list(tmp_path):
    from learned_sim_env.recordings.formats.shared.json_files import rows_of

    path = tmp_path / "rows.json"
    rows = [{"k": k, "text": "]},{[" * (k % 7), "inner": {"list": [1, [2]]}} for k in range(500)]
    for indent in (None, 2):
        path.write_text(json.dumps(rows, indent=indent))
        for chunk in (7, 100, 2**20):
            assert list(rows_of(path, chunk)) == rows
    path.write_text(json.dumps(rows)[:-2])
    with pytest.raises(RecordingError, match="no whole JSON"):
        list(rows_of(path))
    path.write_text("[1]")
    with pytest.raises(RecordingError, match="a row that is a int"):
        list(rows_of(path))


def test_cameras_of_nuscenes(world, tmp_path):
    path = writers.nuscenes(tmp_path, world)
    (path / "samples" / "CAM_FRONT").mkdir(parents=True)
    tables = path / "v1.0-mini"
    rows = json.loads((tables / "sample_data.json").read_text())
    for k in (0, 5):
        (path / "samples" / "CAM_FRONT" / f"{k}.jpg").write_bytes(b"x")
        shot = {"filename": f"samples/CAM_FRONT/{k}.jpg", "fileformat": "jpg", "calibrated_sensor_token": "front"}
        rows.append({**rows[k], **shot, "token": f"c{k}"})
    (tables / "sample_data.json").write_text(json.dumps(rows))
    matrix = [[1266.0, 0.0, 816.0], [0.0, 1266.0, 491.0], [0.0, 0.0, 1.0]]
    # Looking ahead: its right is the car's right, its axis the car's x.
    calibrated = {
        "token": "front",
        "sensor_token": "s",
        "translation": [1.7, 0.0, 1.5],
        "rotation": [0.5, -0.5, 0.5, -0.5],
    }
    (tables / "calibrated_sensor.json").write_text(json.dumps([{**calibrated, "camera_intrinsic": matrix}]))
    (tables / "sensor.json").write_text(json.dumps([{"token": "s", "channel": "CAM_FRONT"}]))
    (camera,) = only(path).cameras
    assert camera.name == "CAM_FRONT" and len(camera.pictures.files) == 2
    assert np.allclose(camera.times, [0.0, 0.5])
    assert np.allclose(camera.rotation, CameraSpec().rotation)
    assert np.allclose(camera.matrix, matrix)


def test_bag_whose_metadata_differs_from_its_file(write, world):
    path = write("rosbag")
    from rosbags.highlevel import AnyReader

    about = path / "metadata.yaml"
    # As recorders write it; the file itself says nothing of qualities of service.
    none = {"sec": 0, "nsec": 0}
    quality = {"history": 3, "depth": 0, "reliability": 1, "durability": 2, "deadline": none, "lifespan": none}
    quality |= {"liveliness": 1, "liveliness_lease_duration": none, "avoid_ros_namespace_conventions": False}
    other = about.read_text().replace("offered_qos_profiles: []", f"offered_qos_profiles: [{json.dumps(quality)}]")
    other = re.sub(r"version: \d+", "version: 5", other)
    assert "history" in other
    about.write_text(other)
    # The library finds nothing then, and says nothing.
    with AnyReader([path]) as reader:
        assert list(reader.messages()) == [] and reader.message_count > 0
    (drive,) = drives_of(only(path))
    assert len(drive) == len(world.times) - 1


def test_type_that_cannot_be_read_costs_its_topic_only(write, world):
    path = write("rosbag-autoware")
    file = path / "drive.mcap"
    data = file.read_bytes()
    assert data.count(b"TrackedObject[] objects") > 0
    file.write_bytes(data.replace(b"TrackedObject[] objects", b"TrackedObject[] obj-cts"))
    recording = only(path)
    assert recording.tracks is None
    assert any("others are not read" in note for note in recording.notes)
    assert len(drives_of(recording)[0]) == len(world.times) - 1


def test_lanelet2_map_beside_a_bag(write, world):
    path = write("rosbag-autoware")
    writers.lanelet2(path / "map.osm", world)
    recording = only(path)
    by_name = {lane.name: lane for lane in recording.road.lanes}
    assert {name: lane.beside for name, lane in by_name.items()} == {"r0": ("r1",), "r1": ("r0",), "r2": ()}
    for number in range(3):
        truth, found = world.lane(number), by_name[f"r{number}"].centre
        assert np.hypot(*(truth[0] - found[0])) < 4.0 and np.hypot(*(truth[-1] - found[-1])) < 4.0
    (drive,) = drives_of(recording)
    assert drive.road.route == "map" and figures(drive).on_lane == 1.0
    assert len(drive.scene(40).agents) == 4


def test_lanelet2_map_without_lanelets(write):
    path = write("rosbag-autoware")
    (path / "map.osm").write_text('<osm><node id="1"><tag k="local_x" v="1"/><tag k="local_y" v="1"/></node></osm>')
    assert any("no lanelets" in note for note in only(path).notes)
    (path / "map.osm").write_text('<osm><node id="1" lat="1" lon="2"/></osm>')
    assert any("no local_x" in note for note in only(path).notes)
