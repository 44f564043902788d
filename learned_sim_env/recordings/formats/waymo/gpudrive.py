"""Waymo scenes as JSON of Nocturne and of GPUDrive: the former in degrees, and not saying which car recorded them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.recordings.formats.shared.features import linked, map_of, track_of
from learned_sim_env.recordings.formats.shared.json_files import begins_with, load_json
from learned_sim_env.recordings.recording import EgoPath, Recording, RecordingError, Vehicle
from learned_sim_env.scene import wrap_angle

# [m] What is not valid is put here.
NOWHERE = -9999.0
# [s] of a step: times are not kept.
STEP = 0.1
ROADS = {"lane": "LANE", "road_line": "LINE", "road_edge": "EDGE"}


def recognises(path: Path) -> bool:
    """A JSON file that begins as theirs do."""
    return path.suffix == ".json" and path.is_file() and begins_with(path, b'"objects"', b'"position"')


def read(path: Path) -> Iterator[Recording]:
    """The one scene of a file."""
    scene = load_json(path)
    objects, roads = scene.get("objects"), scene.get("roads")
    if not objects or not isinstance(roads, list):
        raise RecordingError("it has no 'objects' or no 'roads'")
    columns = [_columns(o) for o in objects]
    steps = {len(c["valid"]) for c in columns}
    if len(steps) != 1:
        raise RecordingError(f"its objects have {', '.join(map(str, sorted(steps)))} moments: all need as many")
    notes = ["times are not recorded: 0.1 s a step is assumed"]
    if _in_degrees(columns):
        for c in columns:
            c["heading"] = np.radians(c["heading"])
        notes.append("headings are in degrees")
    times = STEP * np.arange(steps.pop())
    index = scene.get("metadata", {}).get("sdc_track_index")
    if index is None:
        index = _farthest(objects, columns)
        notes.append("no car is said to have recorded it: the vehicle that drives farthest is the ego")
    if not 0 <= index < len(objects):
        raise RecordingError(f"its ego, object {index}, is none of its {len(objects)}")
    own = columns[index]
    valid = own["valid"]
    if valid.sum() < 2:
        raise RecordingError("its ego is valid at fewer than 2 moments")
    vehicle = Vehicle.of_box(own["length"], own["width"])
    tracks = [_track(k, o, c, times) for k, (o, c) in enumerate(zip(objects, columns)) if k != index]
    name = str(scene.get("scenario_id") or scene.get("name") or path.stem)
    yield Recording(
        name=name,
        format="gpudrive",
        file=path,
        log=f"waymo/{name}",
        ego=EgoPath(times[valid], own["place"][valid], own["heading"][valid], vehicle.rear),
        vehicle=vehicle,
        tracks=tuple(track for track in tracks if track is not None),
        road=linked(map_of(_features(roads))),
        sources={"tracks": "labels of the data set", "times": "assumed"},
        notes=tuple(notes),
    )


def _columns(thing: Mapping[str, Any]) -> dict[str, Any]:
    places = np.array([(p["x"], p["y"]) for p in thing["position"]], np.float64).reshape(-1, 2)
    heading = np.asarray(thing["heading"], np.float64).ravel()
    valid = np.asarray(thing["valid"], bool).ravel() & (places > NOWHERE).all(-1) & (heading > NOWHERE)
    if not len(places) == len(heading) == len(valid):
        raise RecordingError(f"an object has {len(places)} positions, {len(heading)} headings, {len(valid)} valid")
    return {
        "place": places,
        "heading": heading,
        "valid": valid,
        "length": float(np.median(np.atleast_1d(thing["length"]))),
        "width": float(np.median(np.atleast_1d(thing["width"]))),
    }


def _in_degrees(columns: list[dict[str, Any]]) -> bool:
    """Whether headings agree with where things go if they are degrees, rather than if they are radians."""
    errors = np.zeros(2)
    for c in columns:
        moved = np.diff(c["place"], axis=0)
        rows = c["valid"][1:] & c["valid"][:-1] & (np.hypot(*moved.T) > 0.3)
        if rows.any():
            went = np.arctan2(moved[rows, 1], moved[rows, 0])
            for k, heading in enumerate((c["heading"][1:][rows], np.radians(c["heading"][1:][rows]))):
                errors[k] += np.abs(wrap_angle(heading - went)).sum()
    if errors.any():
        return bool(errors[1] < errors[0])
    return any(np.abs(c["heading"][c["valid"]]).max(initial=0.0) > 3 * np.pi for c in columns)


def _farthest(objects: list[Mapping[str, Any]], columns: list[dict[str, Any]]) -> int:
    def driven(k: int) -> float:
        places = columns[k]["place"][columns[k]["valid"]]
        vehicle = str(objects[k].get("type", "")) == "vehicle"
        return float(np.hypot(*np.diff(places, axis=0).T).sum()) if vehicle and columns[k]["valid"].all() else -1.0

    best = max(range(len(objects)), key=driven)
    if driven(best) <= 0:
        raise RecordingError("no car is said to have recorded it, and no vehicle in it is there all the time and moves")
    return best


def _track(k: int, thing: Mapping[str, Any], columns: dict[str, Any], times: np.ndarray) -> Any:
    count = len(times)
    poses = np.concatenate([columns["place"], columns["heading"][:, None]], -1)
    length, width = (np.full(count, columns[name]) for name in ("length", "width"))
    return track_of(str(thing.get("id", k)), thing.get("type", ""), times, poses, length, width, columns["valid"])


def _features(roads: list[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for k, road in enumerate(roads):
        kind, geometry = ROADS.get(str(road.get("type"))), road.get("geometry")
        if kind is not None and isinstance(geometry, list):
            points = np.array([(p["x"], p["y"]) for p in geometry], np.float64).reshape(-1, 2)
            yield {"id": k, "type": kind, "points": points}
