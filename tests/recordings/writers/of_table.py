"""The documented layout of tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.recordings.world import LENGTH, WIDTH, World
from tests.recordings.writers.of_scenarionet import features


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
