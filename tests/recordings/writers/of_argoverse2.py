"""Argoverse 2: motion forecasting and sensor logs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.recordings.world import LANE, World, aside
from tests.recordings.writers.clocks import NANO, START, quaternion


def points(line: np.ndarray) -> list[dict[str, float]]:
    return [{"x": float(x), "y": float(y), "z": 0.0} for x, y in line]


def argoverse_map(path: Path, world: World, centres: bool) -> None:
    """A map file; sensor logs' have no centre lines."""
    segments = {}
    half = len(world.road) // 2
    for number in range(3):
        line = world.lane(number)
        for piece, part in enumerate((slice(0, half + 1), slice(half, None))):
            name = 10 * (number + 1) + piece
            beside = {0: ("left_neighbor_id", 20 + piece), 1: ("right_neighbor_id", 10 + piece)}.get(number)
            segments[str(name)] = {
                "id": name,
                "is_intersection": False,
                "lane_type": "VEHICLE",
                "left_lane_boundary": points(aside(line, LANE / 2)[part]),
                "right_lane_boundary": points(aside(line, -LANE / 2)[part]),
                "left_lane_mark_type": "DASHED_WHITE",
                "right_lane_mark_type": "SOLID_WHITE" if number == 0 else "NONE",
                "successors": [name + 1] if piece == 0 else [],
                "predecessors": [],
                **({} if beside is None else {beside[0]: beside[1]}),
                **({"centerline": points(line[part])} if centres else {}),
            }
    path.write_text(json.dumps({"lane_segments": segments, "drivable_areas": {}, "pedestrian_crossings": {}}))


def argoverse2(folder: Path, world: World) -> Path:
    """A motion forecasting scenario, of which the ego's place is its rear axle."""
    import pyarrow as pa
    from pyarrow import parquet

    out = folder / "abc"
    out.mkdir()
    argoverse_map(out / "log_map_archive_abc.json", world, centres=True)
    kinds = {"VEHICLE": "vehicle", "PEDESTRIAN": "pedestrian", "TRAFFIC_CONE": "static"}
    rows: dict[str, list] = {}
    things = [("AV", "vehicle", world.rear), *((m.name, kinds[m.kind], m.poses) for m in world.movers)]
    for name, kind, poses in things:
        velocity = np.gradient(poses[:, :2], 0.1, axis=0)
        for t, (x, y, heading) in enumerate(poses):
            row = {
                "track_id": name,
                "object_type": kind,
                "timestep": t,
                "position_x": x,
                "position_y": y,
                "heading": heading,
                "velocity_x": velocity[t, 0],
                "velocity_y": velocity[t, 1],
                "scenario_id": "abc",
                "observed": t < 50,
            }
            for column, value in row.items():
                rows.setdefault(column, []).append(value)
    parquet.write_table(pa.table(rows), out / "scenario_abc.parquet")
    return out


def argoverse2_sensor(folder: Path, world: World) -> Path:
    """A sensor log: poses twice, a nanosecond apart, boxes in the frame of the car."""
    import pyarrow as pa
    from pyarrow import feather

    out = folder / "log"
    (out / "map").mkdir(parents=True)
    argoverse_map(out / "map" / "log_map_archive_log.json", world, centres=False)
    stamps = (START * NANO + np.round(world.times * NANO)).astype(np.int64)
    names = ("qw", "qx", "qy", "qz")
    poses: dict[str, list] = {"timestamp_ns": [], "tx_m": [], "ty_m": [], "tz_m": [], **{n: [] for n in names}}
    boxes: dict[str, list] = {
        **{n: [] for n in ("timestamp_ns", "track_uuid", "category", "length_m", "width_m", "tx_m", "ty_m", *names)}
    }
    kinds = {"VEHICLE": "REGULAR_VEHICLE", "PEDESTRIAN": "PEDESTRIAN", "TRAFFIC_CONE": "CONSTRUCTION_CONE"}
    for t, stamp in enumerate(stamps):
        x, y, heading = world.rear[t]
        for later in (0, 1):
            row = {"timestamp_ns": stamp + later, "tx_m": x, "ty_m": y, "tz_m": 0.0}
            for column, value in {**row, **dict(zip(names, quaternion(heading)))}.items():
                poses[column].append(value)
        c, s = np.cos(heading), np.sin(heading)
        for m in world.movers:
            dx, dy = m.poses[t, :2] - (x, y)
            row = {
                "timestamp_ns": stamp,
                "track_uuid": m.name,
                "category": kinds[m.kind],
                "length_m": m.size[0],
                "width_m": m.size[1],
                "tx_m": c * dx + s * dy,
                "ty_m": -s * dx + c * dy,
                **dict(zip(names, quaternion(m.poses[t, 2] - heading))),
            }
            for column, value in row.items():
                boxes[column].append(value)
    feather.write_feather(pa.table(poses), out / "city_SE3_egovehicle.feather")
    feather.write_feather(pa.table(boxes), out / "annotations.feather")
    return out
