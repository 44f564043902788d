"""nuScenes: tables, CAN bus and map expansion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.recordings.world import LANE, World, aside
from tests.recordings.writers.clocks import MICRO, START, quaternion


def nuscenes(folder: Path, world: World, can: bool = True, road: bool = True) -> Path:
    """Tables of one scene: poses ten times a second, boxes twice, a CAN bus whose wheel turns 15 times the tyres."""
    out = folder / "nuscenes"
    (out / "v1.0-mini").mkdir(parents=True)
    stamps = [START * MICRO + round(t * MICRO) for t in world.times]
    keys = range(0, len(stamps), 5)
    tables: dict[str, list] = {
        "log": [{"token": "log", "logfile": "n008-1", "vehicle": "n008", "location": "somewhere"}],
        "scene": [{"token": "scene", "name": "scene-0001", "log_token": "log"}],
        "sample": [{"token": f"s{t}", "timestamp": stamps[t], "scene_token": "scene"} for t in keys],
        "ego_pose": [
            {"token": f"e{t}", "timestamp": stamps[t], "translation": [x, y, 0.0], "rotation": quaternion(heading)}
            for t, (x, y, heading) in enumerate(world.rear)
        ],
        "sample_data": [
            {
                "token": f"d{t}",
                "sample_token": f"s{5 * (t // 5)}",
                "ego_pose_token": f"e{t}",
                "calibrated_sensor_token": "c",
                "timestamp": stamps[t],
                "filename": "samples/LIDAR_TOP/x.bin",
                "fileformat": "bin",
            }
            for t in range(len(stamps))
        ],
        "instance": [{"token": m.name, "category_token": m.kind} for m in world.movers],
        "category": [
            {"token": "VEHICLE", "name": "vehicle.car"},
            {"token": "PEDESTRIAN", "name": "human.pedestrian.adult"},
            {"token": "TRAFFIC_CONE", "name": "movable_object.trafficcone"},
        ],
        "sample_annotation": [
            {
                "token": f"{m.name}{t}",
                "sample_token": f"s{t}",
                "instance_token": m.name,
                "translation": [*m.poses[t, :2], 0.0],
                "size": [m.size[1], m.size[0], 1.5],
                "rotation": quaternion(m.poses[t, 2]),
            }
            for m in world.movers
            for t in keys
        ],
    }
    for name, rows in tables.items():
        (out / "v1.0-mini" / f"{name}.json").write_text(json.dumps(rows))
    if can:
        (out / "can_bus").mkdir()
        wheel = 15 * np.arctan(2.588 * world.curvature)
        feedback = [{"utime": s, "value": float(w)} for s, w in zip(stamps, wheel)]
        (out / "can_bus" / "scene-0001_steeranglefeedback.json").write_text(json.dumps(feedback))
        monitor = [{"utime": s, "throttle": 300, "brake": 0} for s in stamps[::5]]
        (out / "can_bus" / "scene-0001_vehicle_monitor.json").write_text(json.dumps(monitor))
    if road:
        (out / "maps" / "expansion").mkdir(parents=True)
        (out / "maps" / "expansion" / "somewhere.json").write_text(json.dumps(_expansion(world)))
    return out


def _expansion(world: World) -> dict[str, Any]:
    """nuScenes' map of the ego's lane and the one beside it, whose centre lines are short straight arcs."""
    nodes, polygons, lanes, arcs = [], [], [], {}
    for number in range(2):
        line = world.lane(number)
        outline = np.concatenate([aside(line, LANE / 2), aside(line, -LANE / 2)[::-1]])
        names = [f"n{number}-{k}" for k in range(len(outline))]
        nodes += [{"token": n, "x": float(x), "y": float(y)} for n, (x, y) in zip(names, outline)]
        polygons.append({"token": f"p{number}", "exterior_node_tokens": names})
        lanes.append({"token": f"l{number}", "polygon_token": f"p{number}"})
        steps = np.diff(line, axis=0)
        arcs[f"l{number}"] = [
            {
                "start_pose": [float(x), float(y), float(np.arctan2(dy, dx))],
                "shape": "LSR",
                "radius": 50.0,
                "segment_length": [0.0, float(np.hypot(dx, dy)), 0.0],
            }
            for (x, y), (dx, dy) in zip(line, steps)
        ]
    return {
        "node": nodes,
        "polygon": polygons,
        "line": [],
        "lane": lanes,
        "lane_connector": [],
        "arcline_path_3": arcs,
        "connectivity": {name: {"incoming": [], "outgoing": []} for name in arcs},
        "drivable_area": [],
    }
