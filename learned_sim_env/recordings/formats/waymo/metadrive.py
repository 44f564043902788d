"""Waymo scenes as MetaDrive 0.3 kept them: pickles that also name three classes of the script that wrote them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.recordings.formats.shared.features import map_of, track_of
from learned_sim_env.recordings.formats.waymo.waymo import BROKEN_LINES, CLOSED_STATES, KNOWN_STATES, OBJECTS
from learned_sim_env.recordings.recording import EgoPath, Light, Recording, RecordingError, Vehicle
from learned_sim_env.recordings.unpickling import load_pickle
from learned_sim_env.spec import SemanticClass

# Columns of a track's state.
X, Y, LENGTH, WIDTH, HEADING, VALID = 0, 1, 3, 4, 6, 9


def recognises(path: Path) -> bool:
    """A pickle that has the words of such a scene in it."""
    if path.suffix not in (".pkl", ".pickle") or not path.is_file():
        return False
    data = path.read_bytes()
    return all(word in data for word in (b"sdc_index", b"dynamic_map_states", b"tracks"))


def read(path: Path) -> Iterator[Recording]:
    """The one scene of a file."""
    scene = load_pickle(path)
    if isinstance(scene, tuple | list):
        raise RecordingError(
            "it holds a tuple: it is an Argoverse scene of MetaDrive 0.3, take the data set's own files"
        )
    if not isinstance(scene, Mapping) or not {"ts", "tracks", "sdc_index", "map"} <= set(scene):
        raise RecordingError("it has not the parts 'ts', 'tracks', 'sdc_index' and 'map' of a MetaDrive 0.3 scene")
    times = np.asarray(scene["ts"], np.float64).ravel()
    tracks = {name: _state(track, times) for name, track in scene["tracks"].items()}
    if scene["sdc_index"] not in tracks:
        raise RecordingError(f"its ego, track {scene['sdc_index']!r}, is not among its tracks")
    own = tracks.pop(scene["sdc_index"])
    valid = own[:, VALID] > 0.5
    if valid.sum() < 2:
        raise RecordingError("its ego is valid at fewer than 2 moments")
    vehicle = Vehicle.of_box(*(float(np.median(own[valid, k])) for k in (LENGTH, WIDTH)))
    others = [
        track_of(
            str(name),
            OBJECTS.get(_number(scene["tracks"][name]["type"]), SemanticClass.STATIC_OBJECT),
            times,
            state[:, [X, Y, HEADING]],
            state[:, LENGTH],
            state[:, WIDTH],
            state[:, VALID] > 0.5,
        )
        for name, state in tracks.items()
    ]
    yield Recording(
        name=str(scene.get("id", path.stem)),
        format="metadrive",
        file=path,
        log=f"waymo/{scene.get('id', path.stem)}",
        ego=EgoPath(times[valid], own[valid][:, [X, Y]], own[valid, HEADING], vehicle.rear),
        vehicle=vehicle,
        tracks=tuple(track for track in others if track is not None),
        road=map_of(_features(scene["map"])),
        lights=tuple(_lights(scene.get("dynamic_map_states") or (), times)),
        sources={"tracks": "labels of the data set", "lights": "labels of the data set"},
    )


def _state(track: Mapping[str, Any], times: np.ndarray) -> np.ndarray:
    state = np.asarray(track["state"], np.float64)
    if state.shape != (len(times), 10):
        raise RecordingError(f"a track's state is {state.shape}, not ({len(times)}, 10)")
    return state


def _number(kind: Any) -> int:
    """Number of an enumeration's member, which was not loaded."""
    arguments = getattr(kind, "arguments", None)
    return int(arguments[0]) if arguments else int(kind) if isinstance(kind, int | float) else 0


def _features(features: Mapping[Any, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for name, feature in features.items():
        kind = feature.get("type")
        if "polyline" not in feature:
            continue
        points = np.asarray(feature["polyline"], np.float64).reshape(len(feature["polyline"]), -1)[:, :2]
        if isinstance(kind, str):
            yield {
                "id": name,
                "type": "LANE",
                "points": points,
                "following": feature.get("exit", ()),
                "beside": [n["id"] for side in ("left", "right") for n in feature.get(f"{side}_neighbor", ())],
                "junction": feature.get("interpolating", False),
                **{
                    side: [(*b["index"][:2], b["id"]) for b in feature.get(f"{side}_boundaries", ())]
                    for side in ("left", "right")
                },
            }
        elif type(kind).__name__ == "RoadLineType":
            yield {"id": name, "type": "LINE_BROKEN" if _number(kind) in BROKEN_LINES else "LINE", "points": points}
        else:
            yield {"id": name, "type": "EDGE", "points": points}


def _lights(states: Any, times: np.ndarray) -> Iterator[Light]:
    seen: dict[Any, list[tuple[float, bool, float, float]]] = {}
    for time, lanes in zip(times, states):
        for lane in lanes or ():
            if isinstance(lane, Mapping) and _number(lane.get("state")) in KNOWN_STATES:
                stop = np.asarray(lane["stop_point"], np.float64).ravel()
                row = (time, _number(lane["state"]) in CLOSED_STATES, stop[0], stop[1])
                seen.setdefault(lane["lane"], []).append(row)
    for name, rows in seen.items():
        columns = np.array(rows, np.float64)
        yield Light(str(name), columns[0, 2:], columns[:, 0], columns[:, 1] > 0.5)
