"""What may become of an action between the driver and the car."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env.data.behaviours import OrnsteinUhlenbeck
from learned_sim_env.harness.engine.perturbation import OnAction, Perturbation
from learned_sim_env.spec import CONTRACTS

# What strength 1 means: standard deviation of noise, offset of [steer, throttle_brake], [steps] of delay.
NOISE, BIAS, DELAY = np.array([0.5, 1.0]), np.array([0.3, 1.0]), 10
DT = CONTRACTS["driving"].dt


@dataclass(frozen=True)
class ActionNoise(Perturbation):
    """Noise that lasts about half a second."""

    name = "action_noise"
    in_simulator = True

    def action(self) -> OnAction:
        noise = OrnsteinUhlenbeck(self.rng(), self.strength * NOISE, tau=0.5)
        return lambda t, action: action + noise.sample()


@dataclass(frozen=True)
class ActionBias(Perturbation):
    """A constant offset, in a direction that the seed decides."""

    name = "action_bias"
    in_simulator = True

    def action(self) -> OnAction:
        angle = self.rng().uniform(0, 2 * np.pi)
        offset = self.strength * BIAS * np.array([np.cos(angle), np.sin(angle)])
        return lambda t, action: action + offset


@dataclass(frozen=True)
class ActionDelay(Perturbation):
    """Actions arrive late, by up to a second; until then the first one holds."""

    name = "action_delay"
    in_simulator = True

    def action(self) -> OnAction:
        steps, past = round(self.strength * DELAY), list[np.ndarray]()

        def late(t: int, action: np.ndarray) -> np.ndarray:
            past.append(action.copy())
            return past[max(len(past) - 1 - steps, 0)]

        return late


@dataclass(frozen=True)
class ActionDropout(Perturbation):
    """An action that gets lost, with a chance of `strength`: the one before it holds."""

    name = "action_dropout"
    in_simulator = True

    def action(self) -> OnAction:
        rng, last = self.rng(), np.zeros(2, np.float32)

        def lossy(t: int, action: np.ndarray) -> np.ndarray:
            nonlocal last
            if t == 0 or rng.random() >= self.strength:
                last = action.copy()
            return last

        return lossy


@dataclass(frozen=True)
class ActionPulse(Perturbation):
    """A push on the controls for a while, as by a gust or a hand: what an adaptive search can shape.

    steer, throttle_brake: in [-1, 1], of `strength`. begin, length: [s].
    """

    steer: float = 0.0
    throttle_brake: float = 0.0
    begin: float = 0.0
    length: float = 1.0
    name = "action_pulse"
    in_simulator = True

    @property
    def size(self) -> float:
        """Strength times the share of ten seconds that it lasts, root mean square of both controls."""
        return float(self.strength * np.hypot(self.steer, self.throttle_brake) / 2**0.5 * (self.length / 10) ** 0.5)

    def action(self) -> OnAction:
        first, last = round(self.begin / DT), round((self.begin + self.length) / DT)
        push = self.strength * np.array([self.steer, self.throttle_brake])
        return lambda t, action: action + push if first <= t < last else action
