"""How a car answers to actions: a kinematic single-track model, forwards and backwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env.recordings.recording import USUAL_CAR, Vehicle
from learned_sim_env.scene import wrap_angle

# Throttle_brake and the acceleration [m/s^2] that it gives: those of the car that shipped models have learned from
# (MetaDrive's default one, measured on a straight road). A convention for logs that have no pedals.
PEDALS = ((-1.0, -15.0), (-0.5, -10.2), (-0.2, -5.45), (0.0, -0.36), (0.01, 0.03), (1.0, 2.91))
# [1/m] Curvature of that car's path at full lock; it is proportional to the steering to within 4 % up to 80 % of it.
FULL_LOCK = 0.279
# [m/s] Below this speed, steering does not show in where a car goes.
CRAWL = 0.6
# [m/s] A car that is faster than this backwards drives in reverse, which no action asks for.
BACKWARDS = 0.2


@dataclass(frozen=True)
class SingleTrack:
    """A car without slip: its rear axle follows a curvature that is proportional to the steering.

    Kinematic single-track model (Rajamani, Vehicle Dynamics and Control, section 2.2) at the rear axle, where the
    velocity is along the car: x' = v cos(psi), y' = v sin(psi), psi' = v kappa, v' = a.

    full_lock: curvature [1/m] at steer -1. pedals: points (throttle_brake, acceleration [m/s^2]), both ascending.
    offset: curvature [1/m] at steer 0. understeer: curvatures are divided by 1 + understeer * speed^2 [s^2/m^2].
    steering_delay, pedal_delay: [s] after which it answers; `step` is told what it answers to.
    """

    vehicle: Vehicle = USUAL_CAR
    full_lock: float = FULL_LOCK
    pedals: tuple[tuple[float, float], ...] = PEDALS
    offset: float = 0.0
    understeer: float = 0.0
    steering_delay: float = 0.0
    pedal_delay: float = 0.0

    def step(self, state: np.ndarray, action: np.ndarray, dt: float) -> np.ndarray:
        """State (4,) float64 x, y, heading of the rear axle and speed, `dt` seconds after `state`.

        Braking ends in standing, and there is no reverse gear: a car that rolls backwards is braked as well.
        """
        x, y, heading, speed = state
        curvature, acceleration = self.response(action, speed)
        after = speed + acceleration * dt
        if acceleration < 0:
            after = max(after, 0.0) if speed > 0 else min(speed - acceleration * dt, 0.0)
        way = (speed + after) / 2 * dt
        middle = heading + curvature * way / 2
        return np.array(
            [x + way * np.cos(middle), y + way * np.sin(middle), wrap_angle(heading + curvature * way), after]
        )

    def response(self, action: np.ndarray, speed: float) -> tuple[float, float]:
        """Curvature [1/m], + is left, and acceleration [m/s^2] that an action (2,) asks for at a speed [m/s]."""
        pedals = np.array(self.pedals)
        curvature = (self.offset - self.full_lock * float(action[0])) / (1 + self.understeer * speed * speed)
        return curvature, float(np.interp(action[1], pedals[:, 0], pedals[:, 1]))

    def actions(self, states: np.ndarray, dt: float) -> tuple[np.ndarray, np.ndarray]:
        """What was done: actions (T, 2) float32 that lead from each of the states (T + 1, 4) to the next.

        Where the car crawls, its steering is that of the moments around. Second value: (T,) bool, whether the car could
        have done it; what it could not is the nearest that it can.
        """
        speeds, way = states[:, 3], (states[1:, 3] + states[:-1, 3]) / 2 * dt
        acceleration = np.diff(speeds) / dt
        rolling = np.abs(way) > CRAWL * dt
        curvature = np.divide(wrap_angle(np.diff(states[:, 2])), way, out=np.zeros(len(way)), where=rolling)
        if rolling.any():
            at = np.arange(len(way))
            curvature = np.interp(at, at[rolling], curvature[rolling])
        pedals = np.array(self.pedals)
        raw = np.stack(
            [self.steer(curvature, speeds[:-1]), np.interp(acceleration, pedals[:, 1], pedals[:, 0])],
            axis=-1,
        )
        # A hundredth more than there is comes from rounding.
        able = (np.abs(raw[:, 0]) <= 1.01) & (acceleration <= pedals[-1, 1] * 1.01) & (acceleration >= pedals[0, 1])
        able &= speeds[1:] > -BACKWARDS
        return np.clip(raw, -1.0, 1.0).astype(np.float32), able

    def steer(self, curvature: np.ndarray, speeds: np.ndarray) -> np.ndarray:
        """Steering (...) for a curvature (...) [1/m] at speeds (...) [m/s]."""
        return (self.offset - curvature * (1 + self.understeer * speeds**2)) / self.full_lock

    def centre(self, states: np.ndarray) -> np.ndarray:
        """Poses (..., 3) of the middle of the box, of states (..., 4)."""
        heading = states[..., 2]
        ahead = self.vehicle.rear * np.stack([np.cos(heading), np.sin(heading)], -1)
        return np.concatenate([states[..., :2] + ahead, heading[..., None]], -1)
