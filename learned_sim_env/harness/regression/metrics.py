"""What a drive was worth, as numbers, each with a direction in which it is better."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env.harness.engine.job import DriveResult
from learned_sim_env.harness.engine.suite import GETTING_ON, Suite, SuiteScenario
from learned_sim_env.scene import to_frame
from learned_sim_env.spec import CONTRACTS, REWARD_TERMS

CONTRACT = CONTRACTS["driving"]
# [s] More time than this to a collision is no concern. [steps] Over which one sees how fast a gap closes.
CONCERN, CLOSING = 10.0, 5


@dataclass(frozen=True)
class Metric:
    """title: with unit. worse: 1 where more is worse, -1 where less is. digits: to be shown."""

    title: str
    worse: int
    digits: int = 2


METRICS = {
    "collision": Metric("collision rate", 1, 3),
    "violation": Metric("violation rate (off road, wrong way)", 1, 3),
    "success": Metric("success rate", -1, 3),
    "broken_off": Metric("drives that the model's doubt broke off", 1, 3),
    "progress": Metric("progress [m]", -1, 1),
    "ade": Metric("ADE to the recorded drive [m]", 1),
    "fde": Metric("FDE to the recorded drive [m]", 1),
    "jerk": Metric("mean jerk [m/s³]", 1),
    "lateral": Metric("largest lateral acceleration [m/s²]", 1),
    "min_ttc": Metric("smallest time to collision [s]", -1),
    "uncertainty": Metric("largest uncertainty of the model", 1, 3),
}


def measure(drive: DriveResult, scenario: SuiteScenario, suite: Suite) -> dict[str, float]:
    """All `METRICS` of a drive; NaN where a drive is too short to tell. Whether one that the model broke off would have
    been a success is not known.

    Time to collision is to the next obstacle straight ahead in the view, from how the gap closed over half a second, at
    most `CONCERN`. ADE and FDE compare with the recorded drive as far as both went: another good driver may well go
    elsewhere.
    """
    dt, ego = CONTRACT.dt, drive.ego.astype(np.float64)
    along = drive.reward_terms[:, REWARD_TERMS.index("progress")].astype(np.float64)
    progress = float(along.sum() / CONTRACT.reward.progress * CONTRACT.reward.reference_speed * dt)
    steps = min(len(drive), int(suite.path_steps[scenario.start]))
    apart = np.hypot(*(poses(drive)[:steps, :2] - suite.paths[scenario.start, :steps, :2]).T)
    acceleration = np.diff(ego[:, 0]) / dt
    return {
        "collision": float(drive.collided),
        "violation": float(drive.violated),
        "success": np.nan if drive.broken_off else float(succeeded(drive, scenario, progress)),
        "broken_off": float(drive.broken_off),
        "progress": progress,
        "ade": float(apart.mean()) if steps else np.nan,
        "fde": float(apart[-1]) if steps else np.nan,
        "jerk": float(np.abs(np.diff(acceleration)).mean() / dt) if len(ego) > 2 else np.nan,
        "lateral": float(np.abs(ego[:, 0] * ego[:, 1]).max()) if len(ego) else np.nan,
        "min_ttc": float(times_to_collision(drive).min()) if len(ego) else np.nan,
        "uncertainty": float(drive.uncertainty.max()) if len(ego) else np.nan,
    }


def succeeded(drive: DriveResult, scenario: SuiteScenario, progress: float) -> bool:
    """Whether a drive was what the scenario expects."""
    if drive.error or drive.failure or drive.end not in ("", "arrival"):
        return False
    if scenario.expected == "arrive":
        return drive.end == "arrival"
    return scenario.expected == "safe" or drive.end == "arrival" or progress >= GETTING_ON * len(drive) * CONTRACT.dt


def poses(drive: DriveResult) -> np.ndarray:
    """(T, 3) float64 x, y, heading [m, m, rad] after every step, in the ego's frame at the start."""
    pose, found = np.zeros(3), []
    for motion in drive.motion.astype(np.float64):
        # Moving on in the frame of `pose`, seen from the start.
        pose = np.array([*(pose[:2] + to_frame(motion[:2], np.array([0.0, 0.0, -pose[2]]))), pose[2] + motion[2]])
        found.append(pose)
    return np.array(found).reshape(-1, 3)


def times_to_collision(drive: DriveResult) -> np.ndarray:
    """(T,) float64 [s], at most `CONCERN`; 0 from a collision on."""
    gap = drive.gap.astype(np.float64)
    time = np.full(len(gap), CONCERN)
    if len(gap) > CLOSING:
        before, now = gap[:-CLOSING], gap[CLOSING:]
        known = np.isfinite(before) & np.isfinite(now)
        closing = np.subtract(before, now, out=np.zeros_like(now), where=known) / (CLOSING * CONTRACT.dt)
        closing = np.minimum(closing, drive.ego[CLOSING:, 0] + 15.0)
        near = known & (closing > 0.5)
        time[CLOSING:][near] = np.clip(np.maximum(now[near], 0.0) / closing[near], 0.0, CONCERN)
    if drive.collided:
        time[-1] = 0.0
    return time
