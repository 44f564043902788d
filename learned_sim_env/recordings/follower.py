"""Drivers that follow a recorded drive, and come back to it from wherever they are."""

from __future__ import annotations

import numpy as np

from learned_sim_env.recordings import lines
from learned_sim_env.recordings.drives import Drive
from learned_sim_env.recordings.reactions import ACCELERATION, DECELERATION, GAP, HEADWAY
from learned_sim_env.scene import Agents
from learned_sim_env.spec import unknown

# "expert" keeps to the recorded path and times; "idm" as well, but brakes for whoever is on the path.
STYLES = ("expert", "idm")
# [m, s] How far ahead the point is that is steered for: at least, and in time.
LEAST_AHEAD, TIME_AHEAD = 4.0, 0.8
# [1/s, 1/s] How fast a lag along the path, and an error of speed, are made up; [m/s] the most that is driven faster.
CATCHING_UP, SPEED_GAIN, FASTER = 0.3, 1.0, 3.0
# [m] Half of the width of the path that has to be free.
CORRIDOR = 1.6


def act(style: str, drive: Drive, t: int, state: np.ndarray, agents: Agents) -> np.ndarray:
    """Action (2,) float32 of a car at `state` (4,), at moment `t` of a drive, among agents.

    Steering by pure pursuit (Coulter 1992) from the rear axle.

    Raises:
        ValueError: for an unknown style.
    """
    if style not in STYLES:
        raise unknown("policy", style, STYLES)
    # On along the route, where the drive ends.
    path = lines.clean(np.concatenate([drive.states[:, :2], _after(drive)]))
    here = float(lines.nearest(path, state[None, :2])[0][0])
    ahead = max(LEAST_AHEAD, TIME_AHEAD * float(state[3]))
    dx, dy = lines.at(path, np.array([here + ahead]))[0] - state[:2]
    c, s = np.cos(state[2]), np.sin(state[2])
    curvature = 2 * (-s * dx + c * dy) / max(dx * dx + dy * dy, 1.0)
    later = drive.states[min(t + 1, len(drive))]
    lag = float(lines.nearest(path, later[None, :2])[0][0]) - here
    wanted = float(later[3]) + np.clip(CATCHING_UP * lag, -FASTER, FASTER)
    acceleration = SPEED_GAIN * (max(wanted, 0.0) - float(state[3]))
    if style == "idm":
        acceleration = min(acceleration, _behind(drive, path, here, float(state[3]), agents))
    pedals = np.array(drive.car.pedals)
    push = np.interp(acceleration, pedals[:, 1], pedals[:, 0])
    return np.clip(np.array([drive.car.steer(curvature, state[3]), push]), -1.0, 1.0).astype(np.float32)


def _after(drive: Drive) -> np.ndarray:
    """(N, 2) the route after the end of the drive."""
    route, end = drive.road.road_map.route, drive.states[-1]
    s = float(lines.nearest(route, end[None, :2])[0][0])
    stations = lines.lengths(route)
    return route[stations > s + 5.0]


def _behind(drive: Drive, path: np.ndarray, here: float, speed: float, agents: Agents) -> float:
    """Acceleration [m/s^2] behind the nearest of the agents on the path, by the Intelligent Driver Model."""
    if not len(agents):
        return np.inf
    s, away, angle = lines.nearest(path, agents.poses[:, :2].astype(np.float64))
    front = drive.car.vehicle.rear + drive.car.vehicle.length / 2
    gaps = s - here - front - agents.sizes[:, 0] / 2
    on = (away < CORRIDOR) & (s > here + drive.car.vehicle.rear)
    if not on.any():
        return np.inf
    k = int(np.where(on, gaps, np.inf).argmin())
    leader = float(agents.velocities[k] @ np.array([np.cos(angle[k]), np.sin(angle[k])]))
    closing = speed * (speed - leader) / (2 * np.sqrt(ACCELERATION * DECELERATION))
    wanted = GAP + max(0.0, speed * HEADWAY + closing)
    return float(ACCELERATION * (1.0 - (wanted / max(float(gaps[k]), 0.1)) ** 2))
