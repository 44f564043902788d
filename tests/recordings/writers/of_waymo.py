"""Waymo's TFRecords of Scenario messages."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.recordings.formats.waymo.protobuf import message_classes
from learned_sim_env.recordings.formats.waymo.waymo import SCENARIO, masked_crc
from tests.recordings.world import LENGTH, WIDTH, World
from tests.recordings.writers.of_scenarionet import features


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
