"""JSON of GPUDrive and of Nocturne."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.recordings.world import LENGTH, WIDTH, World
from tests.recordings.writers.of_scenarionet import features

INVALID = -10000.0


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
