"""Argoverse 2 sensor logs: poses and boxes as Feather files, boxes in the frame of the car (argoverse.github.io)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from learned_sim_env.recordings.formats.argoverse2 import CAR, read_columns
from learned_sim_env.recordings.formats.argoverse2_map import map_file_in, read_map
from learned_sim_env.recordings.formats.features import kind_of, track_of
from learned_sim_env.recordings.formats.rotations import yaw_of
from learned_sim_env.recordings.recording import Camera, EgoPath, Recording, in_order

POSES, BOXES = "city_SE3_egovehicle.feather", "annotations.feather"
BOX = ("timestamp_ns", "track_uuid", "category", "length_m", "width_m", "qw", "qx", "qy", "qz", "tx_m", "ty_m")


def recognises(path: Path) -> bool:
    """A folder with the poses of a log."""
    return path.is_dir() and (path / POSES).is_file()


def read(path: Path) -> Iterator[Recording]:
    """The log of a folder."""
    rows = read_columns(path / POSES, ("timestamp_ns", "qw", "qx", "qy", "qz", "tx_m", "ty_m"))
    first = int(rows["timestamp_ns"].min())
    quaternions = np.stack([rows[name] for name in ("qw", "qx", "qy", "qz")], -1)
    # Poses of several sensors, some a nanosecond apart.
    times, places, headings = in_order(
        (rows["timestamp_ns"] - first) * 1e-9, np.stack([rows["tx_m"], rows["ty_m"]], -1), yaw_of(quaternions)
    )
    notes = []
    tracks = None
    if (path / BOXES).is_file():
        tracks = tuple(_tracks(path / BOXES, first, times, places, np.unwrap(headings)))
    else:
        notes.append("there are no boxes of others (annotations.feather), as in the data set's test part")
    road, why = None, map_file_in(path)
    if isinstance(why, Path):
        road = read_map(why)
    else:
        notes.append(why)
    yield Recording(
        name=path.resolve().name,
        format="argoverse2-sensor",
        file=path,
        log=f"argoverse2/{path.resolve().name}",
        ego=EgoPath(times, places, headings),
        vehicle=CAR,
        tracks=tracks,
        road=road,
        cameras=tuple(_cameras(path, first)),
        sources={"tracks": "labels of the data set"},
        notes=tuple(notes),
    )


def _tracks(path: Path, first: int, times: np.ndarray, places: np.ndarray, headings: np.ndarray) -> Iterator:
    rows = read_columns(path, BOX)
    at = (rows["timestamp_ns"] - first) * 1e-9
    # Where the car was then, which the boxes are seen from.
    heading = np.interp(at, times, headings)
    c, s = np.cos(heading), np.sin(heading)
    x = np.interp(at, times, places[:, 0]) + c * rows["tx_m"] - s * rows["ty_m"]
    y = np.interp(at, times, places[:, 1]) + s * rows["tx_m"] + c * rows["ty_m"]
    turned = heading + yaw_of(np.stack([rows[name] for name in ("qw", "qx", "qy", "qz")], -1))
    poses = np.stack([x, y, turned], -1)
    names, which = np.unique(rows["track_uuid"].astype(str), return_inverse=True)
    for k, name in enumerate(names):
        seen = np.flatnonzero(which == k)
        kind = kind_of(rows["category"][seen[0]])
        track = track_of(
            name, kind, at[seen], poses[seen], rows["length_m"][seen], rows["width_m"][seen], np.ones(len(seen), bool)
        )
        if track is not None:
            yield track


def _cameras(path: Path, first: int) -> Iterator[Camera]:
    """Pictures that lie in the log's folder, without calibration."""
    for folder in sorted((path / "sensors" / "cameras").glob("*")):
        files = sorted(file for file in folder.glob("*.jpg") if file.stem.isdigit())
        if files:
            yield Camera(folder.name, np.array([(int(f.stem) - first) * 1e-9 for f in files]), tuple(files))
