"""Argoverse 2 sensor logs: poses and boxes as Feather files, boxes in the frame of the car (argoverse.github.io)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from learned_sim_env.recordings.formats.argoverse2.map import map_file_in, read_map
from learned_sim_env.recordings.formats.argoverse2.motion import CAR, read_columns
from learned_sim_env.recordings.formats.shared.features import kind_of, track_of
from learned_sim_env.recordings.formats.shared.rotations import matrix_of, yaw_of
from learned_sim_env.recordings.pictures import PictureFiles
from learned_sim_env.recordings.recording import Camera, EgoPath, Recording, in_order

INTRINSICS, EXTRINSICS = "intrinsics.feather", "egovehicle_SE3_sensor.feather"
# [m] of the rear axle above the ground.
AXLE = 0.33
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
    cameras = tuple(_cameras(path, first, notes))
    yield Recording(
        name=path.resolve().name,
        format="argoverse2-sensor",
        file=path,
        log=f"argoverse2/{path.resolve().name}",
        ego=EgoPath(times, places, headings),
        vehicle=CAR,
        tracks=tracks,
        road=road,
        cameras=cameras,
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


def _cameras(path: Path, first: int, notes: list[str]) -> Iterator[Camera]:
    """Cameras whose pictures lie in the log's folder, with their calibration if that does; pictures are rectified."""
    folders = {folder.name: folder for folder in sorted((path / "sensors" / "cameras").glob("*"))}
    if not folders:
        return
    files = {name: path / "calibration" / name for name in (INTRINSICS, EXTRINSICS)}
    missing = [name for name, file in files.items() if not file.is_file()]
    calibrated: dict[str, tuple] = {}
    if missing:
        notes.append(f"calibration/{missing[0]} is missing: pictures cannot be used")
    else:
        lens = read_columns(files[INTRINSICS], ("sensor_name", "fx_px", "fy_px", "cx_px", "cy_px"))
        pose = read_columns(files[EXTRINSICS], ("sensor_name", "qw", "qx", "qy", "qz", "tx_m", "ty_m", "tz_m"))
        where = {str(name): k for k, name in enumerate(pose["sensor_name"])}
        for k, name in enumerate(map(str, lens["sensor_name"])):
            fx, fy, cx, cy = (float(lens[f"{n}_px"][k]) for n in ("fx", "fy", "cx", "cy"))
            if (row := where.get(name)) is not None:
                turned = matrix_of(np.array([pose[n][row] for n in ("qw", "qx", "qy", "qz")]))
                place = np.array([pose[n][row] for n in ("tx_m", "ty_m", "tz_m")], np.float64)
                # The frame of the car is on the rear axle, as high as that.
                place[2] += AXLE
                calibrated[name] = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), place, turned.T
    for name, folder in folders.items():
        found = sorted((file for file in folder.glob("*.jpg") if file.stem.isdigit()), key=lambda file: int(file.stem))
        if found:
            times = np.array([(int(f.stem) - first) * 1e-9 for f in found])
            yield Camera(name, times, PictureFiles(tuple(found)), *calibrated.get(name, ()))
