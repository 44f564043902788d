"""nuScenes' tables, of which the large ones are read row by row, and only what is used of them is kept."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from learned_sim_env.recordings.formats.shared.json_files import load_json, rows_of
from learned_sim_env.recordings.recording import RecordingError

PICTURES = ("jpg", "jpeg", "png")


class Shot(NamedTuple):
    """One measurement of a sensor: stamp [us], tokens of its calibration and of the ego's pose, and its file."""

    stamp: int
    sensor: str
    pose: str
    file: str


class Tables:
    """Tables of a folder.

    Attributes:
        folder: where they are.
        shots: by scene, those of the lidar, or of all sensors where there is none.
        pictures: by scene, those of cameras.
        poses: by token, stamp [us], x, y [m], and a quaternion w, x, y, z, of what `shots` refer to.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._rows: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._scene_of = {token: sample["scene_token"] for token, sample in self["sample"].items()}
        self.shots: dict[str, list[Shot]] = defaultdict(list)
        self.pictures: dict[str, list[Shot]] = defaultdict(list)
        self._read_shots()
        self.poses = self._read_poses()
        self._boxes = self._read_boxes()

    def __getitem__(self, name: str) -> dict[str, Mapping[str, Any]]:
        """Rows of a small table by token."""
        if name not in self._rows:
            self._rows[name] = {row["token"]: row for row in load_json(self.folder / f"{name}.json", list)}
        return self._rows[name]

    def get(self, table: str, token: str) -> Mapping[str, Any]:
        """One row; `RecordingError` if it is not there."""
        try:
            return self[table][token]
        except KeyError:
            raise missing(table, token) from None

    def boxes(self, scene: str) -> tuple[list[str], np.ndarray] | None:
        """Instances of a scene's boxes, and (N, 9) stamp [us], x, y, quaternion w, x, y, z, width and length of each.

        None where the data set has no boxes, as its test part.
        """
        if self._boxes is None:
            return None
        names, numbers = self._boxes.get(scene, ([], array("d")))
        return names, np.array(numbers, np.float64).reshape(-1, 9)

    def _read_shots(self) -> None:
        lidar: dict[str, list[Shot]] = defaultdict(list)
        for row in rows_of(self.folder / "sample_data.json"):
            scene = self._scene_of.get(row["sample_token"])
            if scene is None:
                raise missing("sample", row["sample_token"])
            file = str(row["filename"])
            shot = Shot(int(row["timestamp"]), row["calibrated_sensor_token"], row["ego_pose_token"], file)
            if str(row.get("fileformat", "")).lower() in PICTURES:
                self.pictures[scene].append(shot)
            elif "LIDAR" in file:
                lidar[scene].append(shot)
            else:
                self.shots[scene].append(shot)
        for scene in {*self.pictures, *lidar}:
            self.shots[scene] = lidar.get(scene) or self.shots[scene] + self.pictures[scene]

    def _read_poses(self) -> dict[str, tuple[float, ...]]:
        used = {shot.pose for shots in self.shots.values() for shot in shots}
        return {
            row["token"]: (int(row["timestamp"]), *row["translation"][:2], *row["rotation"])
            for row in rows_of(self.folder / "ego_pose.json")
            if row["token"] in used
        }

    def _read_boxes(self) -> dict[str, tuple[list[str], array]] | None:
        path = self.folder / "sample_annotation.json"
        if not path.is_file():
            return None
        found: dict[str, tuple[list[str], array]] = {}
        known: dict[str, str] = {}
        for row in rows_of(path):
            sample = self.get("sample", row["sample_token"])
            names, numbers = found.setdefault(sample["scene_token"], ([], array("d")))
            # One text for each instance, however often it is seen.
            names.append(known.setdefault(row["instance_token"], row["instance_token"]))
            numbers.extend((sample["timestamp"], *row["translation"][:2], *row["rotation"], *row["size"][:2]))
        return found


def missing(table: str, token: str) -> RecordingError:
    """What is wrong where a table refers to a row that is not there."""
    return RecordingError(f"{table}.json has no row {token!r}, which another table refers to")
