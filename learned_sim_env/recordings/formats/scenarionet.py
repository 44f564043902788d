"""ScenarioNet's scenes (scenarionet.readthedocs.io, "scenario description"), as pickles of plain values.

Shapes vary with the writer: (T,) or (T, 1), lists or arrays, places in two or three dimensions, valid as bool or float.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.recordings.formats.shared.features import map_of, track_of
from learned_sim_env.recordings.recording import EgoPath, Light, Recording, RecordingError, Track, Vehicle
from learned_sim_env.recordings.unpickling import load_pickle

NEEDED = ("tracks", "map_features", "metadata")
# Of data sets whose ego's place is its rear axle.
REAR_AXLE = ("nuscenes", "nuplan")
# [m] Wheelbase, and how far the middle of the box is ahead of the rear axle, of cars of data sets (their own papers).
CARS = {"nuscenes": (4.084, 1.73, 2.588, 1.2), "nuplan": (5.176, 2.297, 3.089, 1.461)}


def recognises(path: Path) -> bool:
    """A pickle that has the words of a scene in it."""
    if path.suffix not in (".pkl", ".pickle") or not path.is_file():
        return False
    if path.name in ("dataset_summary.pkl", "dataset_mapping.pkl"):
        return False
    data = path.read_bytes()
    return all(word in data for word in (b"tracks", b"map_features", b"metadata"))


def read(path: Path) -> Iterator[Recording]:
    """The one scene of a file."""
    scene = load_pickle(path)
    if isinstance(scene, tuple | list):
        raise RecordingError("it holds a list, not a scene: it was written by another version of MetaDrive")
    if not isinstance(scene, Mapping) or any(name not in scene for name in NEEDED):
        missing = [n for n in NEEDED if not isinstance(scene, Mapping) or n not in scene]
        raise RecordingError(f"it has no {', '.join(map(repr, missing))}: it is no ScenarioNet scene")
    about = scene["metadata"]
    times = _times(scene, about)
    dataset = str(about.get("dataset", "")).lower()
    ego_id = str(about.get("sdc_id", "ego"))
    tracks = {str(name): track for name, track in scene["tracks"].items()}
    if ego_id not in tracks:
        raise RecordingError(f"its ego, track {ego_id!r}, is not among its {len(tracks)} tracks")
    ego, vehicle = _ego(tracks.pop(ego_id), times, dataset)
    others = [_track(name, track, times) for name, track in tracks.items()]
    name = str(scene.get("id", path.stem))
    yield Recording(
        name=name,
        format="scenarionet",
        file=path,
        log=f"{dataset}/{about.get('source_file') or about.get('log_name') or name}",
        ego=ego,
        vehicle=vehicle,
        tracks=tuple(track for track in others if track is not None),
        road=map_of(_features(scene["map_features"])),
        lights=tuple(_lights(scene.get("dynamic_map_states") or {}, times)),
        sources={"tracks": "labels of the data set", "lights": "labels of the data set"},
    )


def _times(scene: Mapping[str, Any], about: Mapping[str, Any]) -> np.ndarray:
    length = int(scene.get("length", about.get("track_length", 0)))
    for known in (about.get("ts"), about.get("timestep")):
        if known is not None and np.size(known) > 1:
            return np.asarray(known, np.float64).ravel()
    # Called a rate, it is a period.
    period = float(about.get("sample_rate", 0.1))
    return np.arange(length) * (period if period < 1 else 1 / period)


def _state(track: Mapping[str, Any], times: np.ndarray) -> dict[str, np.ndarray]:
    """Columns (T,) of a track, and "position" (T, 2)."""
    state, count = track["state"], len(times)
    columns = {"position": np.asarray(state["position"], np.float64).reshape(count, -1)[:, :2]}
    for name in ("heading", "valid", "length", "width"):
        if name not in state:
            raise RecordingError(f"a track has no {name!r}")
        columns[name] = np.asarray(state[name], np.float64).reshape(-1)
        if len(columns[name]) == 1:
            columns[name] = np.repeat(columns[name], count)
    for name, column in columns.items():
        if len(column) != count:
            raise RecordingError(f"a track has {len(column)} values of {name!r} at {count} moments")
    return columns


def _ego(track: Mapping[str, Any], times: np.ndarray, dataset: str) -> tuple[EgoPath, Vehicle]:
    columns = _state(track, times)
    rows = columns["valid"] > 0.5
    if rows.sum() < 2:
        raise RecordingError("its ego is valid at fewer than 2 moments")
    if dataset in CARS:
        vehicle = Vehicle(*CARS[dataset], guessed=frozenset())
    else:
        # Length and width are sometimes swapped.
        sizes = sorted(float(np.median(columns[name][rows])) for name in ("length", "width"))
        vehicle = Vehicle.of_box(sizes[1], sizes[0])
    origin = 0.0 if dataset in REAR_AXLE else vehicle.rear
    return EgoPath(times[rows], columns["position"][rows], columns["heading"][rows], origin), vehicle


def _track(name: str, track: Mapping[str, Any], times: np.ndarray) -> Track | None:
    columns = _state(track, times)
    poses = np.concatenate([columns["position"], columns["heading"][:, None]], -1)
    about = track.get("metadata", {})
    kind = about.get("type", track["type"]) if isinstance(about, Mapping) else track["type"]
    valid = columns["valid"] > 0.5
    return track_of(name, kind, times, poses, columns["length"], columns["width"], valid)


def _features(features: Mapping[Any, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for name, feature in features.items():
        points = feature.get("polyline", ())
        points = np.array([np.asarray(p, np.float64)[:2] for p in points], np.float64).reshape(-1, 2)
        polygon = feature.get("polygon")
        if polygon is not None:
            polygon = np.array([np.asarray(p, np.float64)[:2] for p in polygon], np.float64).reshape(-1, 2)
        kind = str(feature.get("type", ""))
        yield {
            "id": name,
            "type": kind,
            "points": points,
            "polygon": polygon if polygon is not None and len(polygon) > 2 else None,
            "following": feature.get("exit_lanes") or (),
            "beside": [*_neighbours(feature, "left_neighbor"), *_neighbours(feature, "right_neighbor")],
            "junction": "UNSTRUCTURE" in kind or bool(feature.get("interpolating", False)),
            "left": _ranges(feature.get("left_boundaries")),
            "right": _ranges(feature.get("right_boundaries")),
        }


def _neighbours(feature: Mapping[str, Any], side: str) -> list[Any]:
    found = feature.get(side) or ()
    return [n["feature_id"] if isinstance(n, Mapping) else n for n in found]


def _ranges(borders: Any) -> list[tuple[int, int, Any]]:
    return [
        (int(b["lane_start_index"]), int(b["lane_end_index"]), b["boundary_feature_id"])
        for b in borders or ()
        if isinstance(b, Mapping) and "boundary_feature_id" in b
    ]


def _lights(states: Mapping[Any, Mapping[str, Any]], times: np.ndarray) -> Iterator[Light]:
    for name, light in states.items():
        seen = light.get("state", {}).get("object_state")
        stop = light.get("stop_point")
        if not seen or stop is None:
            continue
        count = min(len(seen), len(times))
        words = [str(word or "").upper() for word in seen[:count]]
        known = np.array([bool(word) and "UNKNOWN" not in word for word in words])
        closed = np.array(
            [("STOP" in w or "RED" in w or "CAUTION" in w or "YELLOW" in w) and "FLASH" not in w for w in words]
        )
        if known.any():
            yield Light(
                str(light.get("lane", name)),
                np.asarray(stop, np.float64).ravel()[:2],
                times[:count][known],
                closed[known],
            )
