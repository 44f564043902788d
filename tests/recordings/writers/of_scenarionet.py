"""ScenarioNet's pickles; other formats that are like Waymo's have its map features."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from tests.recordings.world import LENGTH, WIDTH, World


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
