"""What was done in a drive: measured on the car where that was recorded, inferred from its path where not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env.recordings.car import CRAWL, SingleTrack
from learned_sim_env.recordings.recording import Recording

# [1/m] Curvatures that cars cannot drive.
SHARPEST = 0.3
# [rad] The steering wheel has to move this much (its standard deviation) for its ratio to be fitted.
LEAST_STEERING = 0.03
# Share of the variance of the curvature that the steering wheel has to explain.
LEAST_FIT = 0.8


@dataclass(frozen=True, eq=False)
class Controls:
    """Actions of T steps.

    actions: (T, 2) float32 in the contract's signs. inverse: the same from the path alone.
    valid: (T, 2) bool, of each: False where a car could not do it, or it was not recorded.
    sources: of steer and of throttle_brake, "measured" or "inverse".
    notes: sentences about how they were come by.
    """

    actions: np.ndarray
    inverse: np.ndarray
    valid: np.ndarray
    sources: tuple[str, str]
    notes: tuple[str, ...] = ()


def controls_of(
    recording: Recording, times: np.ndarray, states: np.ndarray, acceleration: np.ndarray, car: SingleTrack, dt: float
) -> Controls:
    """Of states (T + 1, 4) at `times` (T + 1,), whose accelerations are (T + 1,)."""
    inverse, able = car.actions(states, dt)
    actions, valid = inverse.copy(), np.stack([able, able], -1)
    middle = (times[1:] + times[:-1]) / 2
    sources, notes = ["inverse", "inverse"], []
    steer, note = _steer(recording, middle, states, car)
    notes += [note] if note else []
    if steer is not None:
        sources[0] = "measured"
        known = np.isfinite(steer)
        actions[:, 0], valid[:, 0] = np.where(known, np.clip(steer, -1, 1), inverse[:, 0]), known
    push = _push(recording, middle)
    if push is not None:
        sources[1] = "measured"
        known = np.isfinite(push)
        actions[:, 1], valid[:, 1] = np.where(known, np.clip(push, -1, 1), inverse[:, 1]), known
    return Controls(actions.astype(np.float32), inverse, valid, (sources[0], sources[1]), tuple(notes))


def _push(recording: Recording, times: np.ndarray) -> np.ndarray | None:
    signals = recording.signals
    if "throttle_brake" in signals:
        return signals["throttle_brake"].at(times)
    if "throttle" in signals and "brake" in signals:
        throttle, brake = signals["throttle"].at(times), signals["brake"].at(times)
        return np.where(brake > 0.02, -brake, throttle)
    return None


def _steer(
    recording: Recording, times: np.ndarray, states: np.ndarray, car: SingleTrack
) -> tuple[np.ndarray | None, str]:
    """Measured steering (T,) in the contract's sign and scale, or None; and a sentence about it, or ""."""
    signals = recording.signals
    if "steer" in signals:
        return signals["steer"].at(times), ""
    if "road_wheel" in signals:
        angle = signals["road_wheel"].at(times)
        return -np.tan(angle) / recording.vehicle.wheelbase / car.full_lock, ""
    if "steering_wheel" in signals:
        wheel = signals["steering_wheel"].at(times)
        fit = steering_fit(wheel, states, times[1] - times[0] if len(times) > 1 else 0.1)
        if fit is None:
            return None, "the steering wheel moves too little for its ratio to be fitted: steering is from the path"
        slope, offset, share = fit
        if share < LEAST_FIT:
            return None, (
                f"the steering wheel explains {share:.0%} of the curvature only: steering is from the path"
            )
        sentence = f"steering ratio fitted: {np.degrees(1 / slope):.0f} degrees of the wheel for a curvature of 1/m"
        return -(slope * wheel + offset) / car.full_lock, sentence
    return None, ""


def steering_fit(wheel: np.ndarray, states: np.ndarray, dt: float) -> tuple[float, float, float] | None:
    """Curvature by steering wheel: slope [1/m/rad], offset [1/m], and the share of its variance that it explains.

    Args:
        wheel: (T,) [rad], + is left, NaN where unknown.
        states: (T + 1, 4) of the rear axle.
        dt: [s] of a step.

    None where the wheel moves too little.
    """
    way = (states[1:, 3] + states[:-1, 3]) / 2 * dt
    rolling = (np.abs(way) > 3 * CRAWL * dt) & np.isfinite(wheel)
    if rolling.sum() < 20 or wheel[rolling].std() < LEAST_STEERING:
        return None
    curvature = np.diff(np.unwrap(states[:, 2]))[rolling] / way[rolling]
    columns = np.stack([wheel[rolling], np.ones(int(rolling.sum()))], -1)
    (slope, offset), *_ = np.linalg.lstsq(columns, curvature, rcond=None)
    rest = curvature - columns @ np.array([slope, offset])
    return float(slope), float(offset), float(1 - rest.var() / max(curvature.var(), 1e-12))
