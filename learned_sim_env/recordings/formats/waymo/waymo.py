"""Waymo Open Motion: `Scenario` messages in a TFRecord (waymo-research/waymo-open-dataset on GitHub)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.recordings.formats.shared.features import map_of, track_of
from learned_sim_env.recordings.formats.waymo.protobuf import message_classes
from learned_sim_env.recordings.recording import EgoPath, Light, Recording, RecordingError, Vehicle
from learned_sim_env.spec import SemanticClass

# The fields that are used, of scenario.proto and map.proto.
SCENARIO = {
    "Scenario": {
        "scenario_id": (5, "string"),
        "timestamps_seconds": (1, "repeated double"),
        "tracks": (2, "repeated Track"),
        "sdc_track_index": (6, "int32"),
        "dynamic_map_states": (7, "repeated DynamicMapState"),
        "map_features": (8, "repeated MapFeature"),
    },
    "Track": {"id": (1, "int32"), "object_type": (2, "enum"), "states": (3, "repeated ObjectState")},
    "ObjectState": {
        "center_x": (2, "double"),
        "center_y": (3, "double"),
        "length": (5, "float"),
        "width": (6, "float"),
        "heading": (8, "float"),
        "valid": (11, "bool"),
    },
    "DynamicMapState": {"lane_states": (1, "repeated LaneState")},
    "LaneState": {"lane": (1, "int64"), "state": (2, "enum"), "stop_point": (3, "MapPoint")},
    "MapFeature": {
        "id": (1, "int64"),
        "lane": (3, "LaneCenter"),
        "road_line": (4, "Polyline"),
        "road_edge": (5, "Polyline"),
    },
    "LaneCenter": {
        "type": (2, "enum"),
        "interpolating": (3, "bool"),
        "polyline": (8, "repeated MapPoint"),
        "exit_lanes": (10, "repeated int64"),
        "left_neighbors": (11, "repeated LaneNeighbor"),
        "right_neighbors": (12, "repeated LaneNeighbor"),
        "left_boundaries": (13, "repeated BoundarySegment"),
        "right_boundaries": (14, "repeated BoundarySegment"),
    },
    "LaneNeighbor": {"feature_id": (1, "int64")},
    "BoundarySegment": {
        "lane_start_index": (1, "int32"),
        "lane_end_index": (2, "int32"),
        "boundary_feature_id": (3, "int64"),
    },
    "Polyline": {"type": (1, "enum"), "polyline": (2, "repeated MapPoint")},
    "MapPoint": {"x": (1, "double"), "y": (2, "double")},
}
# Enumerations of those files.
OBJECTS = {1: SemanticClass.VEHICLE, 2: SemanticClass.PEDESTRIAN, 3: SemanticClass.VEHICLE}
BROKEN_LINES, BIKE_LANE = (1, 4, 5), 3
CLOSED_STATES, KNOWN_STATES = (1, 2, 4, 5), range(1, 9)
# [bytes] of a record.
LARGEST = 256 * 2**20


def recognises(path: Path) -> bool:
    """A TFRecord whose name says so, or whose first record has the length and its checksum."""
    if not path.is_file() or path.stat().st_size < 16:
        return False
    with open(path, "rb") as file:
        head = file.read(12)
    length, check = struct.unpack("<QI", head)
    return 0 < length <= path.stat().st_size and check == masked_crc(head[:8])


def read(path: Path) -> Iterator[Recording | RecordingError]:
    """The scenes of a file."""
    message = message_classes("learned_sim_env.waymo", SCENARIO)["Scenario"]
    from google.protobuf.message import DecodeError

    for number, data in enumerate(records(path)):
        scenario = message()
        try:
            scenario.ParseFromString(data)
        except DecodeError as error:
            raise RecordingError(f"record {number}: {_other(data) or f'it is no Scenario message ({error})'}") from None
        if not scenario.tracks or not scenario.timestamps_seconds:
            raise RecordingError(f"record {number}: {_other(data) or 'its Scenario has no tracks or no times'}")
        try:
            yield recording_of(scenario, path)
        except RecordingError as error:
            yield RecordingError(f"record {number}: {error}")


def records(path: Path) -> Iterator[bytes]:
    """Records of a TFRecord file.

    Raises:
        RecordingError: where it ends within one, or a length is not what its checksum says.
    """
    with open(path, "rb") as file:
        while head := file.read(12):
            if len(head) < 12:
                raise RecordingError(f"it is cut off within a record's head, at byte {file.tell()}")
            length, check = struct.unpack("<QI", head)
            if check != masked_crc(head[:8]) or length > LARGEST:
                raise RecordingError(f"it is no TFRecord, or damaged at byte {file.tell() - 12}")
            data = file.read(length)
            if len(data) < length or len(file.read(4)) < 4:
                raise RecordingError(f"it is cut off: a record has {len(data)} of {length} bytes")
            yield data


def masked_crc(data: bytes) -> int:
    """Checksum of a TFRecord: CRC-32C, turned by 15 bits, plus a constant (tensorflow.org, "TFRecord")."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def recording_of(scenario: Any, path: Path) -> Recording:
    """The neutral form of a Scenario message."""
    times = np.array(scenario.timestamps_seconds)
    if not 0 <= scenario.sdc_track_index < len(scenario.tracks):
        raise RecordingError(f"its ego, track {scenario.sdc_track_index}, is none of {len(scenario.tracks)}")
    own = scenario.tracks[scenario.sdc_track_index]
    rows, valid = _rows(own, times)
    if valid.sum() < 2:
        raise RecordingError("its ego is valid at fewer than 2 moments")
    vehicle = Vehicle.of_box(*(float(np.median(rows[valid, k])) for k in (3, 4)))
    tracks = []
    for track in scenario.tracks:
        if track is not own:
            state, seen = _rows(track, times)
            kind = OBJECTS.get(track.object_type, SemanticClass.STATIC_OBJECT)
            tracks.append(track_of(str(track.id), kind, times, state[:, :3], state[:, 3], state[:, 4], seen))
    return Recording(
        name=scenario.scenario_id or path.stem,
        format="waymo",
        file=path,
        log=f"waymo/{scenario.scenario_id or path.stem}",
        ego=EgoPath(times[valid], rows[valid, :2], rows[valid, 2], vehicle.rear),
        vehicle=vehicle,
        tracks=tuple(track for track in tracks if track is not None),
        road=map_of(_features(scenario.map_features)),
        lights=tuple(_lights(scenario.dynamic_map_states, times)),
        sources={"tracks": "labels of the data set", "lights": "labels of the data set"},
    )


def _rows(track: Any, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns x, y, heading, length, width (T, 5), and whether they are valid (T,)."""
    if len(track.states) != len(times):
        raise RecordingError(f"track {track.id} has {len(track.states)} states at {len(times)} moments")
    rows = np.array([(s.center_x, s.center_y, s.heading, s.length, s.width) for s in track.states])
    return rows, np.array([s.valid for s in track.states])


def _points(polyline: Any) -> np.ndarray:
    return np.array([(p.x, p.y) for p in polyline], np.float64).reshape(-1, 2)


def _features(features: Any) -> Iterator[dict[str, Any]]:
    for feature in features:
        if feature.HasField("lane"):
            lane = feature.lane
            yield {
                "id": feature.id,
                "type": "LANE_BIKE" if lane.type == BIKE_LANE else "LANE",
                "points": _points(lane.polyline),
                "following": list(lane.exit_lanes),
                "beside": [n.feature_id for n in (*lane.left_neighbors, *lane.right_neighbors)],
                "junction": lane.interpolating,
                "left": [(b.lane_start_index, b.lane_end_index, b.boundary_feature_id) for b in lane.left_boundaries],
                "right": [(b.lane_start_index, b.lane_end_index, b.boundary_feature_id) for b in lane.right_boundaries],
            }
        elif feature.HasField("road_line"):
            kind = "LINE_BROKEN" if feature.road_line.type in BROKEN_LINES else "LINE"
            yield {"id": feature.id, "type": kind, "points": _points(feature.road_line.polyline)}
        elif feature.HasField("road_edge"):
            yield {"id": feature.id, "type": "EDGE", "points": _points(feature.road_edge.polyline)}


def _lights(states: Any, times: np.ndarray) -> Iterator[Light]:
    seen: dict[int, list[tuple[float, bool, float, float]]] = {}
    for time, state in zip(times, states):
        for lane in state.lane_states:
            if lane.state in KNOWN_STATES:
                row = (time, lane.state in CLOSED_STATES, lane.stop_point.x, lane.stop_point.y)
                seen.setdefault(lane.lane, []).append(row)
    for name, rows in seen.items():
        columns = np.array(rows, np.float64)
        yield Light(str(name), columns[0, 2:], columns[:, 0], columns[:, 1] > 0.5)


def _other(data: bytes) -> str:
    """What a record is that is no Scenario, or ""."""
    if b"roadgraph_samples" in data or b"state/current" in data:
        return (
            "it is the data set's tf.Example form, which has no lanes: take the files of its folder "
            "'scenario' instead of 'tf_example'"
        )
    if b"LASER" in data or (b"CAM" in data and b"FRONT" in data):
        return "it seems to be of the Perception data set: the Motion data set's Scenario files are read"
    return ""
