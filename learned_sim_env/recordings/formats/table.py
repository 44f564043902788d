"""The layout for everybody else: CSV or Parquet tables in a folder, see docs/recordings.md.

ego: time, x, y; optional heading and any of `recording.SIGNALS`.
tracks: time, id, kind, x, y, heading; optional length, width. lights: time, lane, x, y, closed.
cameras/NAME.csv: time, file; what about.json says of it under "cameras", see `_cameras`.
map.json: lanes, lines, edges, areas. about.json: name, log, vehicle, origin.
A column may have a unit after its name: time_ms, time_us, time_ns, heading_deg, steering_wheel_deg, speed_kmh.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.recordings.formats.argoverse2.motion import read_columns
from learned_sim_env.recordings.formats.shared.features import kind_of, track_of
from learned_sim_env.recordings.formats.shared.json_files import load_json
from learned_sim_env.recordings.pictures import PictureFiles
from learned_sim_env.recordings.recording import (
    SIGNALS,
    Camera,
    EgoPath,
    Light,
    MapLane,
    RecordedMap,
    Recording,
    RecordingError,
    Signal,
    Track,
    Vehicle,
    check_numbers,
    check_times,
)
from learned_sim_env.scene import Line
from learned_sim_env.spec import CameraSpec, SemanticClass

SUFFIXES = (".csv", ".parquet")
# Columns of a moment of the ego: those that have to be there, and the others.
NEEDED, MORE = ("time", "x", "y"), ("heading", *SIGNALS)
# What a unit after a column's name is in the unit that is used.
UNITS = {"ms": 1e-3, "us": 1e-6, "ns": 1e-9, "deg": np.pi / 180, "kmh": 1 / 3.6}
# [m] Sizes of boxes that are not recorded.
SIZES = {SemanticClass.VEHICLE: (4.6, 1.9), SemanticClass.PEDESTRIAN: (0.6, 0.6)}


def recognises(path: Path) -> bool:
    """A folder with a table "ego", or a table file with its columns."""
    if path.is_dir():
        return _table_in(path, "ego") is not None
    return path.suffix == ".csv" and path.is_file() and {"x", "y"} <= set(_header(path)) and _has_time(_header(path))


def read(path: Path) -> Iterator[Recording]:
    """The one drive of a folder, or of a table of the ego alone."""
    folder = path if path.is_dir() else None
    file = path if folder is None else _table_in(path, "ego")
    if file is None:
        raise RecordingError("it has no table ego.csv or ego.parquet")
    about = load_json(folder / "about.json") if folder and (folder / "about.json").is_file() else {}
    rows, left_out = _read(file, NEEDED, MORE)
    times = rows["time"]
    start = float(times[0]) if len(times) else 0.0
    check_times(times, file.name)
    headings = rows.get("heading")
    places = np.stack([rows["x"], rows["y"]], -1)
    vehicle, origin = _vehicle(about)
    signals = {}
    for name in SIGNALS:
        if name in rows:
            known = np.isfinite(rows[name])
            if known.sum() > 1:
                signals[name] = Signal(times[known] - start, rows[name][known])
    tracks = _table_in(folder, "tracks") if folder else None
    lights = _table_in(folder, "lights") if folder else None
    road = folder / "map.json" if folder and (folder / "map.json").is_file() else None
    yield Recording(
        name=str(about.get("name", path.stem)),
        format="table",
        file=path,
        log=str(about.get("log", about.get("name", path.stem))),
        ego=EgoPath(times - start, places, headings, origin),
        vehicle=vehicle,
        signals=signals,
        tracks=None if tracks is None else tuple(_tracks(tracks, start)),
        road=None if road is None else _map(load_json(road)),
        lights=() if lights is None else tuple(_lights(lights, start)),
        cameras=tuple(_cameras(folder, about, start)) if folder else (),
        notes=(
            *(("headings are not recorded: directions of the path are taken",) if headings is None else ()),
            *((_left_out_in_words(file, left_out),) if left_out else ()),
        ),
    )


def _table_in(folder: Path, name: str) -> Path | None:
    return next((folder / f"{name}{s}" for s in SUFFIXES if (folder / f"{name}{s}").is_file()), None)


def _header(path: Path) -> list[str]:
    with open(path, "rb") as file:
        return [cell.strip() for cell in file.readline(4096).decode("utf-8-sig", "replace").split(",")]


def _has_time(names: list[str]) -> bool:
    return any(name.partition("_")[0] == "time" for name in names)


def _left_out_in_words(path: Path, names: list[str]) -> str:
    units = ", ".join(f"_{unit}" for unit in UNITS)
    return (
        f"columns of {path.name} that are not known are left out: {', '.join(names)}; known: "
        f"{', '.join((*NEEDED, *MORE))}, and after a name its unit: {units}"
    )


def _read(
    path: Path, needed: tuple[str, ...], more: tuple[str, ...] = (), text: tuple[str, ...] = ()
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Columns by name, and the names of those that are not known.

    needed: numbers, all of them finite. more: numbers that may be missing, or NaN. Both are in the units that are used.
    text: columns that are needed as they are.

    Raises:
        RecordingError: for one that is missing, or is not what it should be; it names table, column and row.
    """
    found, left_out = dict[str, np.ndarray](), list[str]()
    for name, values in _cells(path).items():
        if name in text:
            found[name] = np.asarray(values).astype(str)
            continue
        plain, scale = _unit(name)
        if plain not in (*needed, *more):
            left_out.append(name)
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found[plain] = np.asarray(values, np.float64) * scale
            except (TypeError, ValueError):
                bad = next(i for i, v in enumerate(values) if not _is_number(v))
                raise RecordingError(
                    f"{path.name} has {str(values[bad])[:40]!r} in column {name!r}, row {bad + 1}: numbers are expected"
                ) from None
    for name in (*needed, *text):
        if name not in found:
            raise RecordingError(f"{path.name} has no column {name!r}, only {', '.join((*found, *left_out))}")
    for name in needed:
        check_numbers(found[name], f"column {name!r} of {path.name}")
    return found, left_out


def _unit(name: str) -> tuple[str, float]:
    """A column's name without its unit, and the factor that brings its values into the unit that is used."""
    plain, _, unit = name.rpartition("_")
    return (plain, UNITS[unit]) if plain and unit in UNITS else (name, 1.0)


def _cells(path: Path) -> Mapping[str, Any]:
    if path.suffix == ".parquet":
        return read_columns(path, ())
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path.name} is no CSV in UTF-8 ({error})") from None
    rows = [row for row in rows if row]
    if len(rows) < 2:
        raise RecordingError(f"{path.name} has no rows")
    names = [cell.strip() for cell in rows[0]]
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(names):
            raise RecordingError(f"{path.name} has {len(row)} cells in line {number}, and {len(names)} columns")
    # An empty cell is a value that is not known.
    return {name: [row[k].strip() or "nan" for row in rows[1:]] for k, name in enumerate(names)}


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _vehicle(about: Mapping[str, Any]) -> tuple[Vehicle, float]:
    told = about.get("vehicle", {})
    known = {name: float(told[name]) for name in ("length", "width", "wheelbase", "rear") if name in told}
    usual = Vehicle.of_box(known["length"], known.get("width", Vehicle.width)) if "length" in known else Vehicle()
    values = {name: known.get(name, getattr(usual, name)) for name in ("length", "width", "wheelbase", "rear")}
    vehicle = Vehicle(**values, guessed=frozenset(values) - set(known))
    return vehicle, float(about.get("origin", 0.0))


def _tracks(path: Path, start: float) -> Iterator[Track]:
    rows, _ = _read(path, (*NEEDED, "heading"), ("length", "width"), text=("id", "kind"))
    times = rows["time"] - start
    poses = np.stack([rows[name] for name in ("x", "y", "heading")], -1)
    names, which = np.unique(rows["id"], return_inverse=True)
    for k, name in enumerate(names):
        seen = np.flatnonzero(which == k)
        kind = kind_of(rows["kind"][seen[0]])
        usual = SIZES.get(kind, (1.0, 1.0))
        length, width = (
            rows[n][seen] if n in rows else np.full(len(seen), u) for n, u in zip(("length", "width"), usual)
        )
        track = track_of(str(name), kind, times[seen], poses[seen], length, width, np.ones(len(seen), bool))
        if track is not None:
            yield track


def _lights(path: Path, start: float) -> Iterator[Light]:
    rows, _ = _read(path, (*NEEDED, "closed"), text=("lane",))
    times, closed = rows["time"] - start, rows["closed"] > 0.5
    stops = np.stack([rows["x"], rows["y"]], -1)
    for name in np.unique(rows["lane"]):
        seen = np.flatnonzero(rows["lane"] == name)
        seen = seen[np.argsort(times[seen])]
        yield Light(str(name), stops[seen[0]], times[seen], closed[seen])


def _cameras(folder: Path, about: Mapping[str, Any], start: float) -> Iterator[Camera]:
    """Cameras that about.json tells of: size [width, height], and fov [degrees] or matrix (3, 3), yaw and pitch
    [degrees, + is left and up], position [m] ahead, left and above of the rear axle, distortion k1, k2, p1, p2, k3."""
    for name, told in about.get("cameras", {}).items():
        table = _table_in(folder / "cameras", name)
        if table is None:
            raise RecordingError(f"about.json has a camera {name!r}, but there is no cameras/{name}.csv")
        rows, _ = _read(table, ("time",), text=("file",))
        times, files = rows["time"] - start, rows["file"]
        order = np.argsort(times, kind="stable")
        paths = [folder / "cameras" / str(file) for file in files[order]]
        if outside := [p for p in paths if not p.resolve().is_relative_to(folder.resolve())]:
            raise RecordingError(f"{table.name} names {outside[0].name!r}, which lies outside of the folder")
        if "size" not in told or not {"fov", "matrix"} & set(told):
            raise RecordingError(f"camera {name!r} of about.json needs 'size', and 'fov' or 'matrix'")
        width, height = (int(v) for v in told["size"])
        if "matrix" in told:
            matrix = np.array(told["matrix"], np.float64)
        else:
            focal = CameraSpec(fov=float(told["fov"]), width=width, height=height).focal_length
            matrix = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
        lens = np.array(told.get("distortion", ()), np.float64)
        if matrix.shape != (3, 3) or lens.shape not in ((0,), (5,)):
            raise RecordingError(f"camera {name!r}: its matrix is 3 by 3, and its distortion five numbers")
        yield Camera(
            name,
            times[order],
            PictureFiles(tuple(paths)),
            matrix,
            np.array(told.get("position", (1.5, 0.0, 1.5)), np.float64),
            CameraSpec(yaw=float(told.get("yaw", 0.0)), pitch=float(told.get("pitch", 0.0))).rotation,
            lens if lens.any() else None,
            (height, width),
        )


def _map(content: Mapping[str, Any]) -> RecordedMap:
    def points(value: Any, what: str) -> np.ndarray | None:
        if value is None:
            return None
        array = np.asarray(value, np.float64)
        if array.ndim != 2 or array.shape[1] < 2:
            raise RecordingError(f"map.json has {what} of shape {array.shape}: a list of [x, y] is expected")
        check_numbers(array, f"{what} of map.json")
        return array[:, :2]

    lanes = []
    for k, lane in enumerate(content.get("lanes", ())):
        name = str(lane.get("id", k))
        shape = {n: points(lane.get(n), f"{n} of lane {name!r}") for n in ("centre", "left", "right", "polygon")}
        if shape["centre"] is None and (shape["left"] is None or shape["right"] is None):
            raise RecordingError(f"lane {name!r} of map.json has neither a centre nor a left and a right border")
        following, beside = (tuple(map(str, lane.get(n, ()))) for n in ("following", "beside"))
        lanes.append(MapLane(name, **shape, following=following, beside=beside, junction=bool(lane.get("junction"))))
    if not lanes:
        raise RecordingError("map.json has no 'lanes'")
    found = [(points(m.get("points"), "a line"), bool(m.get("broken"))) for m in content.get("lines", ())]
    edges, areas = ([points(p, f"one of its {n}") for p in content.get(n, ())] for n in ("edges", "areas"))
    return RecordedMap(
        tuple(lanes),
        tuple(Line(p, broken=broken) for p, broken in found if p is not None and len(p) > 1),
        tuple(p for p in edges if p is not None),
        tuple(p for p in areas if p is not None),
    )
