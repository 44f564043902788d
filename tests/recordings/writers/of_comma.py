"""comma2k19's segments."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.recordings.world import World
from tests.recordings.writers.clocks import quaternion_of


def comma(folder: Path, world: World, ratio: float = 16.0) -> Path:
    """A segment on the earth: its device 1.7 m ahead of the rear axle, its wheel turning `ratio` times the tyres."""
    out = folder / "drive" / "7"
    poses = out / "global_pose"
    poses.mkdir(parents=True)
    latitude, longitude = 0.65, -2.1
    a, b = 6378137.0, 6356752.314245
    up = np.array([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)])
    east = np.array([-np.sin(longitude), np.cos(longitude), 0.0])
    north = np.cross(up, east)
    curve = a * a / np.sqrt((a * np.cos(latitude)) ** 2 + (b * np.sin(latitude)) ** 2)
    centre = curve * up * np.array([1.0, 1.0, (b / a) ** 2])
    fine = np.arange(0.0, world.times[-1], 0.05)
    x, y, heading = (np.interp(fine, world.times, world.rear[:, k]) for k in range(3))
    local = np.stack([x + 1.7 * np.cos(heading), y + 1.7 * np.sin(heading)], -1)
    local -= local[0]
    positions = centre + local[:, :1] * east + local[:, 1:] * north
    forward = np.cos(heading)[:, None] * east + np.sin(heading)[:, None] * north
    right = np.sin(heading)[:, None] * east - np.cos(heading)[:, None] * north
    axes = np.stack([forward, right, np.repeat(-up[None], len(fine), 0)], -1)
    arrays = {
        "frame_times": 5000.0 + fine,
        "frame_positions": positions,
        "frame_velocities": np.gradient(positions, 0.05, axis=0),
        "frame_orientations": np.array([quaternion_of(m) for m in axes]),
    }
    for name, array in arrays.items():
        _save(poses / name, array)
    wheel = ratio * np.degrees(np.arctan(2.8 * world.curvature))
    for name, values in (("speed", world.speeds), ("steering_angle", wheel)):
        (out / "processed_log" / "CAN" / name).mkdir(parents=True)
        _save(out / "processed_log" / "CAN" / name / "t", 5000.0 + world.times)
        _save(out / "processed_log" / "CAN" / name / "value", values)
    return out


def _save(path: Path, array: np.ndarray) -> None:
    with open(path, "wb") as file:
        np.save(file, array)
