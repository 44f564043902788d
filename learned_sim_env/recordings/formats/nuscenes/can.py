"""What was measured on the car in nuScenes: the CAN bus expansion, and vehicle states of data sets like it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.recordings.formats.shared.json_files import load_json
from learned_sim_env.recordings.recording import Signal, in_order

MICRO = 1e-6
# By file: field, signal, and what a unit of it is in the signal's.
CAN = {
    "steeranglefeedback": (("value", "steering_wheel", 1.0),),
    "vehicle_monitor": (("throttle", "throttle", 1e-3), ("brake", "brake", 1 / 126)),
}
# Of a table "vehicle_state": the same. Pedals are percentages.
STATES = (
    ("steering_tire_angle", "road_wheel", 1.0),
    ("accel_pedal", "throttle", 0.01),
    ("brake_pedal", "brake", 0.01),
)


def signals_of(root: Path, tables: Path, scene: str, first: int) -> tuple[dict[str, Signal], list[str]]:
    """Signals of a scene by name, times from `first` [us] on, and sentences about what is missing."""
    folder = next((f for f in (root / "can_bus", root.parent / "can_bus") if f.is_dir()), None)
    if folder is not None:
        found: dict[str, Signal] = {}
        for file, fields in CAN.items():
            path = folder / f"{scene}_{file}.json"
            if path.is_file():
                found.update(_signals(load_json(path, list), "utime", first, fields))
        if not found:
            return {}, [
                f"the CAN bus of {scene} is not in {folder.name}, as for some scenes: actions are from the path"
            ]
        return found, []
    states = tables / "vehicle_state.json"
    if states.is_file():
        return _signals(load_json(states, list), "timestamp", first, STATES), []
    return {}, ["no CAN bus beside the tables (folder can_bus): actions are from the path"]


def _signals(rows: list[Any], stamp: str, first: int, fields: tuple[tuple[str, str, float], ...]) -> dict[str, Signal]:
    found = {}
    for name, signal, unit in fields:
        known = [row for row in rows if isinstance(row.get(name), int | float)]
        if len(known) > 1:
            times = (np.array([row[stamp] for row in known], np.int64) - first) * MICRO
            found[signal] = Signal(*in_order(times, np.array([row[name] * unit for row in known], np.float64)))
    return found
