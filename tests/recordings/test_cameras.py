"""Cameras of the formats that have them: the pictures of a known calibration, in a dataset."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.data.imports import ImportConfig, look_at_all
from learned_sim_env.data.packed import PackedData
from learned_sim_env.recordings import formats
from learned_sim_env.recordings.looking import look_at
from learned_sim_env.recordings.recording import RecordingError
from learned_sim_env.spec import CAMERAS, CONTRACTS
from tests.recordings import camera_writers
from tests.recordings.pictures import RECORDED, differences
from tests.recordings.world import REAR, World, make_world

pytest.importorskip("cv2", reason="OpenCV is not installed")

WRITERS: dict[str, tuple[Callable[[Path, World], Path], str]] = {
    "table": (camera_writers.table, ""),
    "nuscenes": (camera_writers.nuscenes, ""),
    "argoverse2-sensor": (camera_writers.argoverse2_sensor, "pyarrow"),
    "rosbag": (camera_writers.rosbag, "rosbags"),
    "rosbag-ros1": (partial(camera_writers.rosbag, ros=1), "rosbags"),
    "rosbag-told": (partial(camera_writers.rosbag, told=True), "rosbags"),
}


@pytest.fixture(scope="module")
def short() -> World:
    return make_world(seconds=3.5)


@pytest.mark.parametrize("name", WRITERS)
def test_calibrations_are_read(name, short, tmp_path):
    writer, package = WRITERS[name]
    if package:
        pytest.importorskip(package)
    path = writer(tmp_path, short)
    seen = {}
    look = look_at(path, formats.format_of(path), lambda drive, views: seen.update(drive=drive, views=views))
    assert not look.refused and look.drives[0]["cameras"] == dict.fromkeys(CAMERAS, 1.0), look
    moments = len(seen["drive"]) + 1
    for camera, frames in seen["views"].frames.items():
        off, shown = differences(frames, CAMERAS[camera])
        assert seen["views"].known[camera].all() and off.max() < 4.0
        assert np.abs(shown - np.arange(moments)).max() < 0.6
    (recording,) = formats.read(path)
    by_name = {camera.name: camera for camera in recording.cameras}
    assert set(by_name) == set(RECORDED)
    for camera, spec in RECORDED.items():
        np.testing.assert_allclose(by_name[camera].position, np.add(spec.position, (REAR, 0, 0)), atol=1e-6)
        np.testing.assert_allclose(by_name[camera].rotation, spec.rotation, atol=1e-6)


def test_video_of_a_comma_device(short, tmp_path):
    path = camera_writers.comma(tmp_path, short)
    seen = {}
    look = look_at(path, "comma", lambda drive, views: seen.update(drive=drive, views=views))
    # The picture is a little narrower than the contract's.
    assert 0.85 < look.drives[0]["cameras"]["front"] < 0.95 and look.drives[0]["cameras"]["left"] < 0.5
    frames = seen["views"].frames["front"]
    off, _ = differences(frames, CAMERAS["front"])
    # Colours of a video lose some, and the path says how the device is mounted.
    assert np.median(off) < 6.0 and set(seen["views"].frames) == {"front"}
    blue = frames[:, 20:44, 30:60, 2].astype(float).mean((1, 2))
    assert np.abs(np.diff(blue) - 2).max() < 1.6 and abs(blue[10] - (30 + 20)) < 5


@pytest.mark.slow
def test_dataset_with_cameras(short, tmp_path):
    pytest.importorskip("minari", reason="Minari is not installed")
    camera_writers.table(tmp_path, short)
    report = look_at_all(ImportConfig(tmp_path / "drive", tmp_path / "mine-v0", workers=1))
    assert not report.failed and "front: 100% of its pixels are seen, by ahead" in str(report)
    packed = PackedData.load(tmp_path / "mine-v0" / "packed.npz")
    packed.check_contract(CONTRACTS["driving-camera"], ("front", "left", "right", "ego", "bev", "route"))
    episode = packed.episode(0)
    for name in CAMERAS:
        off, _ = differences(episode.observations[name], CAMERAS[name])
        assert off.max() < 2.0
    only = look_at_all(ImportConfig(tmp_path / "drive", tmp_path / "check", workers=1, check=True))
    assert only.to_dict()["looks"][0]["drives"][0]["cameras"]["front"] == 1.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda about, out: about["cameras"]["ahead"].pop("fov"), "needs 'size', and 'fov' or 'matrix'"),
        (lambda about, out: (out / "cameras" / "ahead.csv").unlink(), "there is no cameras/ahead.csv"),
        (
            lambda about, out: (out / "cameras" / "ahead.csv").write_text("time,file\n0,../../../etc/passwd"),
            "outside of the folder",
        ),
        (lambda about, out: about["cameras"]["ahead"].update(matrix=[[1, 2], [3, 4]]), "3 by 3"),
    ],
)
def test_wrong_descriptions_are_refused(change, words, short, tmp_path):
    out = camera_writers.table(tmp_path, short)
    about = json.loads((out / "about.json").read_text())
    change(about, out)
    (out / "about.json").write_text(json.dumps(about))
    with pytest.raises(RecordingError, match=words):
        list(formats.read(out))
