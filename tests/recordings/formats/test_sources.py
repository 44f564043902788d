"""What recordings are read from: a change of it is noticed, one of what lies around is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from learned_sim_env.recordings.formats.sources import state_of


@pytest.mark.parametrize(
    ("name", "recording", "read", "other"),
    [
        ("rosbag", "drive.mcap", "learned-sim.toml", "another.mcap"),
        ("rosbag", "drive.bag", "map/town.osm", "notes.txt"),
        ("argoverse2", "scenario_1.parquet", "log_map_archive_1.json", "scenario_2.parquet"),
        ("nuplan", "splits/drive.db", "maps/us-ma-boston/9.12/map.gpkg", "splits/another.db"),
        ("nuscenes", "data/v1.0-mini/scene.json", "can_bus/scene-1_pose.json", "notes.txt"),
        ("nuscenes", "data/v1.0-mini/scene.json", "data/samples/CAM_FRONT/1.jpg", "data/.cache"),
        ("table", "data/ego.csv", "data/cameras/front.csv", "data/out/report.json"),
    ],
)
def test_a_change_of_what_is_read_is_noticed(name: str, recording: str, read: str, other: str, tmp_path: Path) -> None:
    for file in (recording, read, other):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / recording).write_bytes(b"1")
    path = tmp_path / recording.split("/")[0] if recording.startswith("data/") else tmp_path / recording

    def state() -> str:
        return state_of(path, name, apart=tmp_path / "data" / "out")

    first = state()
    (tmp_path / other).write_bytes(b"2")
    assert state() == first
    (tmp_path / read).write_bytes(b"3")
    assert (second := state()) != first
    (tmp_path / read).write_bytes(b"33")
    assert state() not in (first, second)
