"""The world of `world` in the formats of others: each writes a file or folder and returns its path."""

from __future__ import annotations

import json
import pickle
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.recordings.formats.protobuf import message_classes
from learned_sim_env.recordings.formats.waymo import SCENARIO, masked_crc
from tests.recordings.world import LENGTH, WIDTH, World

INVALID = -10000.0


def features(world: World) -> dict[str, dict[str, Any]]:
    """Its map in ScenarioNet's form: three lanes in two pieces each, with their lines."""
    found: dict[str, dict[str, Any]] = {}
    half = len(world.road) // 2
    for number in range(3):
        line = world.lane(number)
        for piece, points in enumerate((line[: half + 1], line[half:])):
            found[f"{number}{piece}"] = {
                "type": "LANE_SURFACE_STREET",
                "polyline": points,
                "exit_lanes": [f"{number}1"] if piece == 0 else [],
                "left_neighbor": [{"feature_id": f"1{piece}"}] if number == 0 else [],
                "right_neighbor": [{"feature_id": f"0{piece}"}] if number == 1 else [],
            }
    for number, kind in enumerate(("ROAD_EDGE_BOUNDARY", "ROAD_LINE_BROKEN_SINGLE_WHITE")):
        found[f"line{number}"] = {"type": kind, "polyline": world.border(number)}
    found["line2"] = {"type": "ROAD_LINE_SOLID_SINGLE_YELLOW", "polyline": world.border(2)}
    return found


def scenarionet(folder: Path, world: World, **changes: Any) -> Path:
    """A ScenarioNet pickle; shapes and types vary as its writers' do."""
    count = len(world.times)

    def track(kind: str, poses: np.ndarray, size: tuple[float, float], odd: bool) -> dict:
        valid = np.ones(count, bool)
        column = (count, 1) if odd else (count,)
        return {
            "type": kind,
            "state": {
                "position": np.concatenate([poses[:, :2], np.zeros((count, 1))], -1) if odd else poses[:, :2].tolist(),
                "heading": poses[:, 2],
                "velocity": np.zeros((count, 2)),
                "valid": valid.astype(float) if odd else valid,
                "length": np.full(column, size[0]),
                "width": np.full(column, size[1]),
            },
            "metadata": {"type": kind},
        }

    tracks = {m.name: track(m.kind, m.poses, m.size, k % 2 == 0) for k, m in enumerate(world.movers)}
    tracks["ego"] = track("VEHICLE", world.middle, (LENGTH, WIDTH), True)
    scene = {
        "id": "scene-1",
        "version": "test",
        "length": count,
        "metadata": {"sdc_id": "ego", "ts": world.times, "dataset": "waymo", "sample_rate": 0.1},
        "tracks": tracks,
        "dynamic_map_states": {
            "00": {
                "lane": "00",
                "stop_point": np.append(world.lane(0)[80], 0.0),
                "state": {"object_state": ["LANE_STATE_STOP"] * 40 + [None] * 10 + ["LANE_STATE_GO"] * (count - 50)},
            }
        },
        "map_features": features(world),
        **changes,
    }
    path = folder / "scene.pkl"
    path.write_bytes(pickle.dumps(scene))
    return path


def metadrive(folder: Path, world: World) -> Path:
    """A pickle of MetaDrive 0.3, which names classes of the script that wrote it."""
    count = len(world.times)
    script = sys.modules["__main__"]
    classes = {}
    for name in ("AgentType", "RoadLineType", "RoadEdgeType"):
        kind = type(name, (), {"__module__": "__main__", "__reduce__": lambda self: (type(self), (self.number,))})
        kind.__init__ = lambda self, number: setattr(self, "number", number)  # type: ignore[misc]
        setattr(script, name, kind)
        classes[name] = kind

    def track(kind: int, poses: np.ndarray, size: tuple[float, float]) -> dict:
        state = np.zeros((count, 10))
        state[:, :2], state[:, 6], state[:, 3:5], state[:, 9] = poses[:, :2], poses[:, 2], size, 1.0
        return {"type": classes["AgentType"](kind), "state": state}

    kinds = {"VEHICLE": 1, "PEDESTRIAN": 2}
    lanes = {}
    for name, feature in features(world).items():
        points = np.asarray(feature["polyline"])
        if feature["type"].startswith("LANE"):
            lanes[name] = {
                "type": "center_lane",
                "polyline": points,
                "interpolating": False,
                "exit": feature["exit_lanes"],
                "left_neighbor": [{"id": n["feature_id"]} for n in feature["left_neighbor"]],
                "right_neighbor": [{"id": n["feature_id"]} for n in feature["right_neighbor"]],
            }
        else:
            line = "LINE" in feature["type"]
            kind = (
                classes["RoadLineType"](1 if "BROKEN" in feature["type"] else 2) if line else classes["RoadEdgeType"](1)
            )
            lanes[name] = {"type": kind, "polyline": points}
    tracks = {k: track(kinds.get(m.kind, 4), m.poses, m.size) for k, m in enumerate(world.movers)}
    tracks[99] = track(1, world.middle, (LENGTH, WIDTH))
    scene = {
        "id": "old",
        "ts": world.times.tolist(),
        "tracks": tracks,
        "dynamic_map_states": [],
        "sdc_index": 99,
        "map": lanes,
    }
    path = folder / "old.pkl"
    try:
        path.write_bytes(pickle.dumps(scene, protocol=2))
    finally:
        for name in classes:
            delattr(script, name)
    return path


def waymo(folder: Path, world: World) -> Path:
    """A TFRecord with one Scenario."""
    path = folder / "scenario.tfrecord"
    path.write_bytes(tfrecord(scenario(world).SerializeToString()))
    return path


def tfrecord(data: bytes) -> bytes:
    """One record."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


def scenario(world: World) -> Any:
    """A Scenario message. Of the second mover, half of the states are not valid."""
    message = message_classes("learned_sim_env.waymo", SCENARIO)["Scenario"]()
    message.scenario_id = "abc"
    message.timestamps_seconds.extend(world.times)
    kinds = {"VEHICLE": 1, "PEDESTRIAN": 2}
    things = [(kinds.get(m.kind, 4), m.poses, m.size) for m in world.movers]
    for k, (kind, poses, (length, width)) in enumerate([*things, (1, world.middle, (LENGTH, WIDTH))]):
        track = message.tracks.add(id=k, object_type=kind)
        for t, (x, y, heading) in enumerate(poses):
            valid = not (k == 1 and t > 40)
            size = {"length": length, "width": width, "heading": heading}
            track.states.add(center_x=x, center_y=y, valid=True, **size) if valid else track.states.add()
    message.sdc_track_index = len(things)
    numbers = {name: k for k, name in enumerate(features(world))}
    for name, feature in features(world).items():
        added = message.map_features.add(id=numbers[name])
        points = [{"x": x, "y": y} for x, y in np.asarray(feature["polyline"])]
        if feature["type"].startswith("LANE"):
            added.lane.type = 2
            for point in points:
                added.lane.polyline.add(**point)
            added.lane.exit_lanes.extend(numbers[n] for n in feature["exit_lanes"])
            for side in ("left", "right"):
                for n in feature[f"{side}_neighbor"]:
                    getattr(added.lane, f"{side}_neighbors").add(feature_id=numbers[n["feature_id"]])
            lane = int(name[0])
            for side, line in (("left", lane + 1), ("right", lane)):
                if lane < 2 and line < 3:
                    getattr(added.lane, f"{side}_boundaries").add(
                        lane_start_index=0, lane_end_index=len(points) - 1, boundary_feature_id=numbers[f"line{line}"]
                    )
        else:
            target = added.road_line if "LINE" in feature["type"] else added.road_edge
            target.type = 1 if "BROKEN" in feature["type"] else 2
            for point in points:
                target.polyline.add(**point)
    for t in range(len(world.times)):
        state = message.dynamic_map_states.add()
        stop = world.lane(0)[80]
        if t < 40:
            lane = state.lane_states.add(lane=numbers["00"], state=4)
            lane.stop_point.x, lane.stop_point.y = stop
    return message


def gpudrive(folder: Path, world: World, degrees: bool = False, ego: bool = True) -> Path:
    """GPUDrive's JSON; Nocturne's is in degrees and does not say which car is the ego."""

    def thing(kind: str, poses: np.ndarray, size: tuple[float, float], gone: int) -> dict:
        valid = np.arange(len(poses)) < len(poses) - gone
        shown = np.where(valid[:, None], poses, INVALID)
        heading = np.where(valid, np.degrees(poses[:, 2]) if degrees else poses[:, 2], INVALID)
        return {
            "position": [{"x": x, "y": y, "z": 0.0} for x, y, _ in shown],
            "width": size[1],
            "length": size[0],
            "heading": heading.tolist(),
            "velocity": [{"x": 0.0, "y": 0.0}] * len(poses),
            "valid": valid.tolist(),
            "type": kind.lower(),
        }

    objects = [thing(m.kind, m.poses, m.size, 5) for m in world.movers]
    objects.append(thing("vehicle", world.middle, (LENGTH, WIDTH), 0))
    names = {"LANE": "lane", "ROAD_LINE": "road_line", "ROAD_EDGE": "road_edge"}
    roads = [
        {
            "geometry": [{"x": x, "y": y} for x, y in np.asarray(f["polyline"])],
            "type": next(name for word, name in names.items() if f["type"].startswith(word)),
        }
        for f in features(world).values()
    ]
    scene: dict[str, Any] = {"name": "scene.json", "objects": objects, "roads": roads, "tl_states": {}}
    if ego:
        scene["metadata"] = {"sdc_track_index": len(objects) - 1}
    path = folder / "scene.json"
    path.write_text(json.dumps(scene))
    return path


def table(folder: Path, world: World, **columns: np.ndarray) -> Path:
    """The documented layout: CSV tables and a map; more columns of the ego as named."""
    out = folder / "drive"
    out.mkdir()
    ego = {"time": world.times, "x": world.rear[:, 0], "y": world.rear[:, 1], "heading": world.rear[:, 2], **columns}
    write_csv(out / "ego.csv", ego)
    rows = ["time,id,kind,x,y,heading,length,width"]
    for m in world.movers:
        for time, (x, y, heading) in zip(world.times, m.poses):
            rows.append(f"{time},{m.name},{m.kind.lower()},{x},{y},{heading},{m.size[0]},{m.size[1]}")
    (out / "tracks.csv").write_text("\n".join(rows))
    lanes, lines = [], []
    for name, f in features(world).items():
        points = np.asarray(f["polyline"]).tolist()
        if f["type"].startswith("LANE"):
            beside = [n["feature_id"] for n in (*f["left_neighbor"], *f["right_neighbor"])]
            lanes.append({"id": name, "centre": points, "following": f["exit_lanes"], "beside": beside})
        else:
            lines.append({"points": points, "broken": "BROKEN" in f["type"]})
    (out / "map.json").write_text(json.dumps({"lanes": lanes, "lines": lines}))
    stop = world.lane(0)[80]
    lights = [f"{time},00,{stop[0]},{stop[1]},{int(time < 4)}" for time in world.times[::5]]
    (out / "lights.csv").write_text("\n".join(["time,lane,x,y,closed", *lights]))
    about = {
        "name": "mine",
        "log": "monday",
        "vehicle": {"length": LENGTH, "width": WIDTH, "wheelbase": 2.8, "rear": 1.4},
    }
    (out / "about.json").write_text(json.dumps(about))
    return out


def write_csv(path: Path, columns: dict[str, np.ndarray]) -> None:
    """Columns of numbers, the unknown ones as empty cells."""
    rows = [",".join(columns)]
    for row in zip(*columns.values()):
        rows.append(",".join("" if np.isnan(value) else repr(float(value)) for value in row))
    path.write_text("\n".join(rows))
