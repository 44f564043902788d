"""What was done in a drive: measured on the car where that was recorded, inferred from its path where not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learned_sim_env.recordings.car import CRAWL, SingleTrack
from learned_sim_env.recordings.recording import Recording

# [rad] The steering wheel has to move this much (its standard deviation) for its ratio to be fitted.
LEAST_STEERING = 0.008
# Share of the variance of the curvature that the steering wheel has to explain.
LEAST_FIT = 0.5


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


@dataclass(frozen=True)
class SteeringFit:
    """Curvature = slope * wheel + offset. slope [1/m/rad], offset [1/m]; share: of its variance that this explains."""

    slope: float
    offset: float
    share: float

    def __str__(self) -> str:
        return (
            f"steering fitted: {np.degrees(1 / self.slope):.0f} degrees of the wheel for a curvature of 1/m, straight "
            f"at {np.degrees(-self.offset / self.slope):+.1f} degrees ({self.share:.0%} of the curvature explained)"
        )


def controls_of(
    recording: Recording, times: np.ndarray, states: np.ndarray, car: SingleTrack, dt: float, fit: SteeringFit | str
) -> Controls:
    """Of states (T + 1, 4) at `times` (T + 1,). fit: of the steering wheel, or why there is none."""
    inverse, able = car.actions(states, dt)
    actions, valid = inverse.copy(), np.stack([able, able], -1)
    middle = (times[1:] + times[:-1]) / 2
    sources, notes = ["inverse", "inverse"], [str(fit)] if str(fit) else []
    for k, measured in enumerate((_steer(recording, middle, car, fit), pushed(recording, middle))):
        if measured is not None:
            sources[k], known = "measured", np.isfinite(measured)
            actions[:, k] = np.where(known, np.clip(measured, -1, 1), inverse[:, k])
            valid[:, k] = known
    return Controls(actions.astype(np.float32), inverse, valid, (sources[0], sources[1]), tuple(notes))


def pushed(recording: Recording, times: np.ndarray) -> np.ndarray | None:
    """Measured throttle_brake (T,), NaN where unknown, or None."""
    signals = recording.signals
    if "throttle_brake" in signals:
        return signals["throttle_brake"].at(times)
    if "throttle" in signals and "brake" in signals:
        throttle, brake = signals["throttle"].at(times), signals["brake"].at(times)
        # A foot resting on the brake is none.
        return np.where(brake > 0.02, -brake, throttle)
    return None


def _steer(recording: Recording, times: np.ndarray, car: SingleTrack, fit: SteeringFit | str) -> np.ndarray | None:
    """Measured steering (T,) in the contract's sign and scale, NaN where unknown, or None."""
    signals = recording.signals
    if "steer" in signals:
        return signals["steer"].at(times)
    if "road_wheel" in signals:
        return -np.tan(signals["road_wheel"].at(times)) / recording.vehicle.wheelbase / car.full_lock
    if "steering_wheel" in signals and isinstance(fit, SteeringFit):
        return -(fit.slope * signals["steering_wheel"].at(times) + fit.offset) / car.full_lock
    return None


def fit_steering(recording: Recording, pieces: Sequence[tuple[np.ndarray, np.ndarray]], dt: float) -> SteeringFit | str:
    """The steering wheel's ratio and offset from all pieces of a recording, times (T,) and states (T, 4) of each.

    A sentence instead where it cannot be fitted, "" where nothing has to be. Both the wheel and the curvature have
    noise: the slope is that of the reduced major axis, between the two regressions (Kermack and Haldane, 1950).
    """
    signals = recording.signals
    if "steering_wheel" not in signals or "steer" in signals or "road_wheel" in signals:
        return ""
    wheels, curvatures = [], []
    for times, states in pieces:
        way = (states[1:, 3] + states[:-1, 3]) / 2 * dt
        wheel = signals["steering_wheel"].at((times[1:] + times[:-1]) / 2)
        rolling = (way > 3 * CRAWL * dt) & np.isfinite(wheel)
        wheels.append(wheel[rolling])
        curvatures.append(np.diff(np.unwrap(states[:, 2]))[rolling] / way[rolling])
    wheel, curvature = np.concatenate(wheels), np.concatenate(curvatures)
    if len(wheel) < 50 or wheel.std() < LEAST_STEERING:
        return "the steering wheel moves too little for its ratio to be fitted: steering is from the path"
    correlation = float(np.corrcoef(wheel, curvature)[0, 1])
    if correlation**2 < LEAST_FIT:
        return f"the steering wheel explains {correlation**2:.0%} of the curvature only: steering is from the path"
    slope = float(np.sign(correlation) * curvature.std() / wheel.std())
    return SteeringFit(slope, float(curvature.mean() - slope * wheel.mean()), correlation**2)
