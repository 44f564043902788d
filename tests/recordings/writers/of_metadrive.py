"""MetaDrive 0.3's pickles."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np

from tests.recordings.world import LENGTH, WIDTH, World
from tests.recordings.writers.of_scenarionet import features


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
