"""Argoverse 2 motion forecasting (argoverse.github.io/user-guide): a scenario's tracks as Parquet, its map as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.failures import line_of
from learned_sim_env.optional import require
from learned_sim_env.recordings.formats.argoverse2.map import map_file_in, read_map
from learned_sim_env.recordings.formats.shared.features import kind_of, track_of
from learned_sim_env.recordings.recording import EgoPath, Recording, RecordingError, Vehicle

# [m] Boxes are not recorded: usual ones of the classes, length and width.
SIZES = {
    "vehicle": (4.6, 1.9),
    "bus": (11.5, 2.9),
    "pedestrian": (0.6, 0.6),
    "cyclist": (1.8, 0.7),
    "motorcyclist": (2.1, 0.8),
    "riderless_bicycle": (1.8, 0.5),
    "static": (1.0, 1.0),
    "background": (1.0, 1.0),
    "construction": (1.0, 1.0),
    "unknown": (1.0, 1.0),
}
# A Ford Fusion Hybrid: length, width, wheelbase, and how far its middle is ahead of its rear axle [m].
CAR = Vehicle(4.87, 1.85, 2.85, 1.42, frozenset({"rear"}))
# [s] of a step.
STEP = 0.1
COLUMNS = (
    *("track_id", "object_type", "timestep", "position_x", "position_y", "heading", "velocity_x", "velocity_y"),
    "scenario_id",
)
# [m/s] by which speeds of places may differ from those recorded, and how many moments [steps] are cut at an end.
DISAGREEMENT, MOST_CUT = 0.5, 15


def recognises(path: Path) -> bool:
    """Such a Parquet file, or the folder of one."""
    if path.is_dir():
        return len(list(path.glob("scenario_*.parquet"))) == 1
    return path.suffix == ".parquet" and path.name.startswith("scenario_")


def beside(path: Path) -> list[Path]:
    """The map."""
    found = map_file_in(path if path.is_dir() else path.parent)
    return [found] if isinstance(found, Path) else []


def read(path: Path) -> Iterator[Recording]:
    """The one scenario of a file or folder."""
    file = next(iter(path.glob("scenario_*.parquet"))) if path.is_dir() else path
    rows = read_columns(file, COLUMNS)
    times = STEP * np.arange(int(rows["timestep"].max()) + 1)
    own = rows["track_id"] == "AV"
    if own.sum() < 2:
        raise RecordingError("its ego, the track 'AV', has fewer than 2 moments")
    order = np.flatnonzero(own)[np.argsort(rows["timestep"][own])]
    notes = ["sizes of boxes are those usual for their classes, lights are not recorded"]
    road, why = None, map_file_in(file.parent)
    if isinstance(why, Path):
        road = read_map(why)
    else:
        notes.append(why)
    places = np.stack([rows["position_x"], rows["position_y"]], -1).astype(np.float64)
    tracks = []
    for name in dict.fromkeys(rows["track_id"].tolist()):
        if name == "AV":
            continue
        seen = rows["track_id"] == name
        kind = str(rows["object_type"][seen][0])
        length, width = SIZES.get(kind, SIZES["unknown"])
        count = int(seen.sum())
        poses = np.concatenate([places[seen], rows["heading"][seen, None].astype(np.float64)], -1)
        sizes = (np.full(count, length), np.full(count, width))
        at = times[rows["timestep"][seen]]
        tracks.append(track_of(str(name), kind_of(kind), at, poses, *sizes, np.ones(count, bool)))
    name = str(rows["scenario_id"][0])
    at, own_places = times[rows["timestep"][order]], places[order]
    agreeing = _agreeing(at, own_places, np.hypot(rows["velocity_x"][order], rows["velocity_y"][order]))
    left_out = len(order) - (agreeing.stop - agreeing.start)
    if left_out:
        notes.append(f"{left_out} moments at its ends are left out: places disagree with velocities there")
    yield Recording(
        name=name,
        format="argoverse2",
        file=file,
        log=f"argoverse2/{name}",
        ego=EgoPath(at[agreeing], own_places[agreeing], rows["heading"][order][agreeing].astype(np.float64)),
        vehicle=CAR,
        tracks=tuple(track for track in tracks if track is not None),
        road=road,
        sources={"tracks": "labels of the data set", "sizes": "usual for their classes"},
        notes=tuple(notes),
    )


def _agreeing(times: np.ndarray, places: np.ndarray, speeds: np.ndarray) -> slice:
    """The moments without those at both ends at which places were smoothed together: nearer than speeds (N,) say."""
    off = np.abs(np.hypot(*np.diff(places, axis=0).T) / np.diff(times) - (speeds[1:] + speeds[:-1]) / 2) > DISAGREEMENT
    first = np.flatnonzero(off[:MOST_CUT])
    last = np.flatnonzero(off[-MOST_CUT:][::-1])
    return slice(int(first[-1]) + 1 if len(first) else 0, len(times) - (int(last[-1]) + 1 if len(last) else 0))


def read_columns(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Columns of a Parquet or Feather file, all if `names` is empty.

    Raises:
        RecordingError: if it is damaged or a column is missing, which the error names.
        ImportError: if pyarrow is missing.
    """
    require("pyarrow", extra="recordings")
    import pyarrow
    from pyarrow import feather, parquet

    try:
        table: Any = parquet.read_table(path) if path.suffix == ".parquet" else feather.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise RecordingError(f"{path.name} is no whole {path.suffix[1:]} file ({line_of(error)})") from None
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise RecordingError(f"{path.name} has no column {missing[0]!r}, only {', '.join(table.column_names)[:200]}")
    if not table.num_rows:
        raise RecordingError(f"{path.name} has no rows")
    return {name: table.column(name).to_numpy() for name in names or table.column_names}
