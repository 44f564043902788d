"""nuScenes: tables of JSON (nuscenes.org, "schema"), with the CAN bus if it lies beside, and data sets made like it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.recordings.formats.nuscenes.can import signals_of
from learned_sim_env.recordings.formats.nuscenes.map import read_map
from learned_sim_env.recordings.formats.nuscenes.tables import Tables, missing
from learned_sim_env.recordings.formats.scenarionet import CARS
from learned_sim_env.recordings.formats.shared import lanelet2
from learned_sim_env.recordings.formats.shared.features import kind_of, track_of
from learned_sim_env.recordings.formats.shared.rotations import matrix_of, yaw_of
from learned_sim_env.recordings.pictures import PictureFiles
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

MICRO = 1e-6


def recognises(path: Path) -> bool:
    """A folder with the tables, or with one folder that has them."""
    return path.is_dir() and _tables_in(path) is not None


def _tables_in(path: Path) -> Path | None:
    for folder in (path, *sorted(path.glob("v1.0-*")), path / "annotation"):
        if all((folder / f"{name}.json").is_file() for name in ("scene", "sample", "ego_pose", "sample_data")):
            return folder
    return None


def beside(path: Path) -> list[Path]:
    """The CAN bus and the map expansion, where they do not lie in the folder."""
    return [place for place in (path.parent / "can_bus", path.parent / "maps" / "expansion") if place.is_dir()]


def read(path: Path) -> Iterator[Recording | RecordingError]:
    """The scenes of a folder, one recording each."""
    folder = _tables_in(path)
    if folder is None:
        raise RecordingError("it has not the tables scene.json, sample.json, ego_pose.json and sample_data.json")
    root = folder.parent if folder != path else path
    tables = Tables(folder)
    for scene in tables["scene"].values():
        try:
            yield _recording(path, root, tables, scene)
        except RecordingError as error:
            yield RecordingError(f"scene {scene.get('name')}: {error}")


def _recording(path: Path, root: Path, tables: Tables, scene: Mapping[str, Any]) -> Recording:
    token = scene["token"]
    shots = tables.shots.get(token, [])
    if len(shots) < 2:
        raise RecordingError(f"it has {len(shots)} ego poses: at least 2 are needed")
    for shot in shots:
        if shot.pose not in tables.poses:
            raise missing("ego_pose", shot.pose)
    poses = np.array([tables.poses[shot.pose] for shot in shots], np.float64)
    first = int(poses[:, 0].min())
    times, places, headings = in_order((poses[:, 0] - first) * MICRO, poses[:, 1:3], yaw_of(poses[:, 3:]))
    log = tables.get("log", scene["log_token"])
    signals, notes = signals_of(root, tables.folder, scene["name"], first)
    osm = lanelet2.map_in(root)
    road, note = read_map(root, str(log.get("location", ""))) if osm is None else lanelet2.read_map(osm)
    # The data set's own cars are called n008 and n015; others are not known.
    known = str(log.get("vehicle", "")).startswith("n0")
    boxes = tables.boxes(token)
    return Recording(
        name=str(scene["name"]),
        format="nuscenes",
        file=path,
        log=f"nuscenes/{log.get('logfile') or scene['log_token']}",
        ego=EgoPath(times, places, headings),
        vehicle=Vehicle(*CARS["nuscenes"], guessed=frozenset()) if known else USUAL_CAR,
        signals=signals,
        tracks=None if boxes is None else tuple(_tracks(tables, *boxes, first)),
        road=road,
        cameras=tuple(_cameras(root, tables, token, first)),
        sources={"tracks": "labels of the data set, twice a second"},
        notes=tuple(n for n in (*notes, note) if n),
    )


def _tracks(tables: Tables, names: list[str], boxes: np.ndarray, first: int) -> Iterator[Track]:
    by_instance = defaultdict(list)
    for row, name in enumerate(names):
        by_instance[name].append(row)
    for name, rows in by_instance.items():
        category = tables.get("category", tables.get("instance", name)["category_token"])["name"]
        seen = boxes[rows]
        poses = np.concatenate([seen[:, 1:3], yaw_of(seen[:, 3:7])[:, None]], -1)
        times, everywhere = (seen[:, 0] - first) * MICRO, np.ones(len(rows), bool)
        # Width comes first.
        track = track_of(name, kind_of(category), times, poses, seen[:, 8], seen[:, 7], everywhere)
        if track is not None:
            yield track


def _cameras(root: Path, tables: Tables, scene: str, first: int) -> Iterator[Camera]:
    """Cameras whose pictures are there."""
    by_sensor = defaultdict(list)
    for shot in sorted(tables.pictures.get(scene, ())):
        by_sensor[shot.sensor].append(shot)
    for token, shots in by_sensor.items():
        shots = [shot for shot in shots if _inside(root, shot.file)]
        if not shots:
            continue
        calibrated = tables.get("calibrated_sensor", token)
        name = tables.get("sensor", calibrated["sensor_token"])["channel"]
        matrix = np.array(calibrated["camera_intrinsic"], np.float64)
        # The data set's own pictures have been rectified; data sets made like it tell of the lens.
        lens = np.array(calibrated.get("camera_distortion", ()), np.float64)
        yield Camera(
            str(name),
            (np.array([shot.stamp for shot in shots], np.int64) - first) * MICRO,
            PictureFiles(tuple(root / shot.file for shot in shots)),
            matrix if matrix.shape == (3, 3) else None,
            np.array(calibrated["translation"], np.float64),
            matrix_of(np.array(calibrated["rotation"])).T,
            lens if len(lens) == 5 and lens.any() else None,
        )


def _inside(root: Path, name: str) -> bool:
    """Whether a table's file name leads to a file below the data set's folder."""
    path = root / name
    return not Path(name).is_absolute() and ".." not in Path(name).parts and path.is_file()
