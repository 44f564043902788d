"""nuScenes: tables of JSON (nuscenes.org, "schema"), with the CAN bus if it lies beside, and data sets made like it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.recordings.formats.features import kind_of, track_of
from learned_sim_env.recordings.formats.json_files import load_json
from learned_sim_env.recordings.formats.nuscenes_can import signals_of
from learned_sim_env.recordings.formats.nuscenes_map import read_map
from learned_sim_env.recordings.formats.rotations import matrix_of, yaw_of
from learned_sim_env.recordings.formats.scenarionet import CARS
from learned_sim_env.recordings.recording import (
    USUAL_CAR,
    Camera,
    EgoPath,
    Recording,
    RecordingError,
    Track,
    Vehicle,
    in_order,
)

TABLES = ("scene", "sample", "sample_data", "ego_pose", "sample_annotation", "instance", "category", "log")
MICRO = 1e-6


def recognises(path: Path) -> bool:
    """A folder with the tables, or with one folder that has them."""
    return path.is_dir() and _tables_in(path) is not None


def _tables_in(path: Path) -> Path | None:
    for folder in (path, *sorted(path.glob("v1.0-*")), path / "annotation"):
        if all((folder / f"{name}.json").is_file() for name in ("scene", "sample", "ego_pose", "sample_data")):
            return folder
    return None


@dataclass(eq=False)
class Tables:
    """What is looked up again and again: rows by token, and rows of a scene."""

    folder: Path
    rows: dict[str, dict[str, Mapping[str, Any]]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> dict[str, Mapping[str, Any]]:
        """Rows of a table by token."""
        if name not in self.rows:
            self.rows[name] = {row["token"]: row for row in load_json(self.folder / f"{name}.json", list)}
        return self.rows[name]

    def get(self, table: str, token: str) -> Mapping[str, Any]:
        """One row; `RecordingError` if it is not there."""
        try:
            return self[table][token]
        except KeyError:
            raise RecordingError(f"{table}.json has no row {token!r}, which another table refers to") from None


def read(path: Path) -> Iterator[Recording | RecordingError]:
    """The scenes of a folder, one recording each."""
    folder = _tables_in(path)
    if folder is None:
        raise RecordingError("it has not the tables scene.json, sample.json, ego_pose.json and sample_data.json")
    root = folder.parent if folder != path else path
    tables = Tables(folder)
    scene_of = {token: sample["scene_token"] for token, sample in tables["sample"].items()}
    data, boxes = defaultdict(list), defaultdict(list)
    for row in tables["sample_data"].values():
        data[scene_of.get(row["sample_token"])].append(row)
    if (folder / "sample_annotation.json").is_file():
        for row in tables["sample_annotation"].values():
            boxes[scene_of.get(row["sample_token"])].append(row)
    for token, scene in tables["scene"].items():
        try:
            yield _recording(path, root, tables, scene, data[token], boxes[token])
        except RecordingError as error:
            yield RecordingError(f"scene {scene.get('name')}: {error}")


def _recording(
    path: Path, root: Path, tables: Tables, scene: Mapping[str, Any], data: list[Any], boxes: list[Any]
) -> Recording:
    poses = [tables.get("ego_pose", row["ego_pose_token"]) for row in data]
    if len(poses) < 2:
        raise RecordingError(f"scene {scene['name']!r} has {len(poses)} ego poses: at least 2 are needed")
    stamps = np.array([pose["timestamp"] for pose in poses], np.int64)
    first = int(stamps.min())
    places, rotations = np.array([p["translation"] for p in poses]), np.array([p["rotation"] for p in poses])
    times, moved, headings = in_order((stamps - first) * MICRO, places[:, :2].astype(np.float64), yaw_of(rotations))
    ego = EgoPath(times, moved, headings)
    log = tables.get("log", scene["log_token"])
    signals, notes = signals_of(root, tables.folder, scene["name"], first)
    road, note = read_map(root, str(log.get("location", "")))
    # The data set's own cars are called n008 and n015; others are not known.
    known = str(log.get("vehicle", "")).startswith("n0")
    return Recording(
        name=str(scene["name"]),
        format="nuscenes",
        file=path,
        log=f"nuscenes/{log.get('logfile') or scene['log_token']}",
        ego=ego,
        vehicle=Vehicle(*CARS["nuscenes"], guessed=frozenset()) if known else USUAL_CAR,
        signals=signals,
        tracks=tuple(_tracks(tables, boxes, first)) if boxes else None,
        road=road,
        cameras=tuple(_cameras(root, tables, data, first)),
        sources={"tracks": "labels of the data set, twice a second"},
        notes=tuple(n for n in (*notes, note) if n),
    )


def _tracks(tables: Tables, boxes: list[Any], first: int) -> Iterator[Track]:
    by_instance = defaultdict(list)
    for row in boxes:
        by_instance[row["instance_token"]].append(row)
    for token, rows in by_instance.items():
        category = tables.get("category", tables.get("instance", token)["category_token"])["name"]
        stamps = np.array([tables.get("sample", row["sample_token"])["timestamp"] for row in rows], np.int64)
        places = np.array([row["translation"] for row in rows], np.float64)
        poses = np.concatenate([places[:, :2], yaw_of(np.array([row["rotation"] for row in rows]))[:, None]], -1)
        # Width comes first.
        sizes = np.array([row["size"] for row in rows], np.float64)
        track = track_of(
            token,
            kind_of(category),
            (stamps - first) * MICRO,
            poses,
            sizes[:, 1],
            sizes[:, 0],
            np.ones(len(rows), bool),
        )
        if track is not None:
            yield track


def _cameras(root: Path, tables: Tables, data: list[Any], first: int) -> Iterator[Camera]:
    """Cameras whose pictures are there."""
    by_sensor = defaultdict(list)
    for row in data:
        if str(row.get("fileformat", "")).lower() in ("jpg", "jpeg", "png") and _inside(root, row["filename"]):
            by_sensor[row["calibrated_sensor_token"]].append(row)
    if not by_sensor:
        return
    for token, rows in by_sensor.items():
        calibrated = tables.get("calibrated_sensor", token)
        name = tables.get("sensor", calibrated["sensor_token"])["channel"]
        rows.sort(key=lambda row: row["timestamp"])
        matrix = np.array(calibrated["camera_intrinsic"], np.float64)
        yield Camera(
            str(name),
            (np.array([row["timestamp"] for row in rows], np.int64) - first) * MICRO,
            tuple(root / row["filename"] for row in rows),
            matrix if matrix.shape == (3, 3) else None,
            np.array(calibrated["translation"], np.float64),
            matrix_of(np.array(calibrated["rotation"])).T,
        )


def _inside(root: Path, name: str) -> bool:
    """Whether a table's file name leads to a file below the data set's folder."""
    path = root / name
    return not Path(name).is_absolute() and ".." not in Path(name).parts and path.is_file()
