"""nuPlan logs: SQLite databases (github.com/motional/nuplan-devkit, "nuplan_schema"), with the maps beside them.

Velocities and accelerations of the ego are in its own frame, those of boxes are a network's, `tire_steering_angle` is
always 0, and lights were inferred, so that egos drive over closed ones: none of them is used.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.recordings.formats.nuplan.map import find_map, maps_above, read_map
from learned_sim_env.recordings.formats.scenarionet import CARS
from learned_sim_env.recordings.formats.shared.features import kind_of, track_of
from learned_sim_env.recordings.formats.shared.rotations import yaw_of
from learned_sim_env.recordings.recording import (
    EgoPath,
    RecordedMap,
    Recording,
    RecordingError,
    Track,
    Vehicle,
    in_order,
)

MICRO = 1e-6
NEEDED = {"ego_pose", "lidar_pc", "lidar_box", "track", "category", "log", "scene"}
BOXES = """
    SELECT lidar_box.track_token, category.name, lidar_pc.timestamp, lidar_box.x, lidar_box.y, lidar_box.yaw,
           lidar_box.length, lidar_box.width
    FROM lidar_box JOIN lidar_pc ON lidar_box.lidar_pc_token = lidar_pc.token
         JOIN track ON lidar_box.track_token = track.token JOIN category ON track.category_token = category.token
    WHERE lidar_pc.scene_token = ? ORDER BY lidar_pc.timestamp
"""
POSES = """
    SELECT ego_pose.timestamp, ego_pose.x, ego_pose.y, ego_pose.qw, ego_pose.qx, ego_pose.qy, ego_pose.qz
    FROM ego_pose JOIN lidar_pc ON lidar_pc.ego_pose_token = ego_pose.token
    WHERE lidar_pc.scene_token = ? ORDER BY ego_pose.timestamp
"""


def recognises(path: Path) -> bool:
    """A SQLite file whose name ends in .db; bags end in .db3."""
    if path.suffix != ".db" or not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(16) == b"SQLite format 3\0"


def beside(path: Path) -> list[Path]:
    """The maps of all cities: which one it is stands in the log."""
    return maps_above(path)


def read(path: Path) -> Iterator[Recording | RecordingError]:
    """The scenes of a log, one recording each: a log is an hour long."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if missing := NEEDED - tables:
                raise RecordingError(f"it has no table {', '.join(sorted(missing))}: it is no nuPlan log")
            log, city = database.execute("SELECT logfile, map_version FROM log").fetchone() or (path.stem, "")
            place = find_map(path, str(city or ""))
            road = None if place is None else read_map(place)
            note = "" if place else f"there is no map: maps/{city}/VERSION/map.gpkg is neither beside nor above the log"
            for token, name in database.execute("SELECT token, name FROM scene").fetchall():
                try:
                    yield _recording(path, database, str(log), token, str(name), road, note)
                except RecordingError as error:
                    yield error
    except sqlite3.Error as error:
        raise RecordingError(f"it is no whole database ({error})") from None


def _recording(
    path: Path, database: Any, log: str, token: bytes, name: str, road: RecordedMap | None, note: str
) -> Recording:
    poses = np.array(database.execute(POSES, (token,)).fetchall(), np.float64).reshape(-1, 7)
    if len(poses) < 2:
        raise RecordingError(f"scene {name!r} has {len(poses)} poses of the ego")
    first = poses[0, 0]
    times, places, headings = in_order((poses[:, 0] - first) * MICRO, poses[:, 1:3], yaw_of(poses[:, 3:]))
    vehicle = Vehicle(*CARS["nuplan"], guessed=frozenset())
    return Recording(
        name=f"{path.stem}/{name}",
        format="nuplan",
        file=path,
        log=f"nuplan/{log}",
        ego=EgoPath(times, places, headings),
        vehicle=vehicle,
        tracks=tuple(_tracks(database, token, first)),
        road=road,
        sources={"tracks": "labels of the data set, by a network"},
        notes=(note,) if note else (),
    )


def _tracks(database: Any, token: bytes, first: float) -> Iterator[Track]:
    rows = defaultdict(list)
    kinds = {}
    for track, kind, *numbers in database.execute(BOXES, (token,)):
        rows[track].append(numbers)
        kinds[track] = kind
    for track, numbers in rows.items():
        columns = np.array(numbers, np.float64)
        found = track_of(
            track.hex() if isinstance(track, bytes) else str(track),
            kind_of(kinds[track]),
            (columns[:, 0] - first) * MICRO,
            columns[:, 1:4],
            columns[:, 4],
            columns[:, 5],
            np.ones(len(columns), bool),
        )
        if found is not None:
            yield found
