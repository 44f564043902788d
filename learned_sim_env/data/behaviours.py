"""Driving behaviours for data collection: several, so that the data also holds odd actions and crashes.

A behaviour is reset with a generator at the start of an episode and then asked for one action (2,) float32
`[steer, throttle_brake]` a step. All its randomness comes from that generator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from learned_sim_env.scene import to_frame
from learned_sim_env.spec import CONTRACTS, unknown

if TYPE_CHECKING:
    from learned_sim_env.environments.twin import TwinDrivingEnv

_DT = CONTRACTS["driving"].dt


class Behaviour(Protocol):
    """A way of driving."""

    def reset(self, rng: np.random.Generator) -> None:
        """Start an episode."""
        ...

    def act(self, env: TwinDrivingEnv) -> np.ndarray:
        """Action (2,) float32 for the environment's latest scene, within [-1, 1]."""
        ...


def _policy(env: TwinDrivingEnv, name: str) -> np.ndarray:
    """What the simulator's own policy called `name` would do now, (2,) float32."""
    simulator: Any = env.simulator
    return simulator.policy_action(name)


def _action(steer: float, throttle_brake: float) -> np.ndarray:
    return np.clip(np.array([steer, throttle_brake], np.float32), -1.0, 1.0)


class OrnsteinUhlenbeck:
    """Correlated noise: each component has standard deviation `scale` and correlation time `tau` [s]."""

    def __init__(self, rng: np.random.Generator, scale: np.ndarray, tau: float) -> None:
        self._rng = rng
        self._scale = scale
        self._keep = float(np.exp(-_DT / tau))
        self._value = scale * rng.standard_normal(scale.shape)

    def sample(self) -> np.ndarray:
        """The next value, shape of `scale`."""
        fresh = self._scale * self._rng.standard_normal(self._scale.shape)
        self._value = self._keep * self._value + np.sqrt(1.0 - self._keep**2) * fresh
        return self._value


class SimulatorPolicy:
    """One of the simulator's own policies, unchanged."""

    def __init__(self, name: str) -> None:
        self._name = name

    def reset(self, rng: np.random.Generator) -> None:
        pass

    def act(self, env: TwinDrivingEnv) -> np.ndarray:
        return _action(*_policy(env, self._name))


class NoisyExpert:
    """The expert plus correlated noise whose strength is drawn for each episode, from slight to reckless."""

    def reset(self, rng: np.random.Generator) -> None:
        scale = np.array([rng.uniform(0.03, 0.4), rng.uniform(0.1, 0.8)])
        self._noise = OrnsteinUhlenbeck(rng, scale, tau=rng.uniform(0.3, 2.0))

    def act(self, env: TwinDrivingEnv) -> np.ndarray:
        return _action(*(_policy(env, "expert") + self._noise.sample()))


class Drift:
    """Smooth random steering and throttle, independent of the scene and biased to move forward."""

    def reset(self, rng: np.random.Generator) -> None:
        scale = np.array([rng.uniform(0.05, 0.35), 0.5])
        self._bias = np.array([rng.normal(0.0, 0.03), rng.uniform(0.1, 0.6)])
        self._noise = OrnsteinUhlenbeck(rng, scale, tau=rng.uniform(0.5, 2.0))

    def act(self, env: TwinDrivingEnv) -> np.ndarray:
        return _action(*(self._bias + self._noise.sample()))


class BrakeSwerve:
    """A good driver, interrupted by bursts of 0.3 to 2 s (brake, swerve, full throttle, coasting); it then recovers."""

    _calm, _burst = 3.0, (0.3, 2.0)  # [s] mean time between bursts, bounds of their length

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._base = str(rng.choice(["expert", "idm"]))
        self._override: tuple[float, float] | None = None
        self._left = rng.exponential(self._calm)

    def act(self, env: TwinDrivingEnv) -> np.ndarray:
        self._left -= _DT
        if self._left < 0.0:
            self._switch()
        action = _policy(env, self._base)
        if self._override is not None:
            action = np.where(np.isnan(self._override), action, self._override)
        return _action(*action)

    def _switch(self) -> None:
        if self._override is not None:
            self._override, self._left = None, self._rng.exponential(self._calm)
            return
        keep = np.nan
        swerve = self._rng.choice([-1.0, 1.0]) * self._rng.uniform(0.15, 1.0)
        bursts = [(keep, -self._rng.uniform(0.5, 1.0)), (swerve, keep), (keep, 1.0), (keep, 0.0)]
        self._override = bursts[self._rng.choice(len(bursts), p=[0.3, 0.4, 0.2, 0.1])]
        self._left = self._rng.uniform(*self._burst)


class StopAndGo:
    """Follows the route with the IDM driver's steering, at a speed that jumps between standing and fast."""

    def reset(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._left, self._target = 0.0, 0.0

    def act(self, env: TwinDrivingEnv) -> np.ndarray:
        self._left -= _DT
        if self._left < 0.0:
            self._left = self._rng.uniform(2.0, 10.0)
            # The last is beyond what the vehicle can do: full throttle, for long enough to get there.
            self._target = float(self._rng.choice([0.0, 3.0, 8.0, 14.0, 25.0]))
        steer = _policy(env, "idm")[0]
        return _action(steer, 0.3 * (self._target - env.scene.ego.speed))


class Fast:
    """Follows the route with the IDM driver's steering, too fast, and in some episodes without regard for traffic.

    Policies that are trained in a dream learn to drive fast, because that pays: the model must know the consequences.
    """

    def reset(self, rng: np.random.Generator) -> None:
        self._target, self._heeds = rng.uniform(9.0, 20.0), rng.random() < 0.6
        self._noise = OrnsteinUhlenbeck(rng, np.array([rng.uniform(0.0, 0.15)]), tau=rng.uniform(0.3, 2.0))

    def act(self, env: TwinDrivingEnv) -> np.ndarray:
        ego = env.scene.ego
        wanted = min(self._target, np.sqrt(2 * 3.0 * max(_gap_ahead(env) - 6.0, 0.0))) if self._heeds else self._target
        steer = _policy(env, "idm")[0] + self._noise.sample()[0]
        return _action(steer, 0.3 * (wanted - ego.speed))


def _gap_ahead(env: TwinDrivingEnv) -> float:
    """[m] Along the ego's heading to the next agent's middle that is straight ahead; infinite if there is none."""
    seen = to_frame(env.scene.agents.poses[:, :2], env.scene.ego.pose)
    ahead = seen[(seen[:, 0] > 0) & (np.abs(seen[:, 1]) < 1.8), 0]
    return float(ahead.min(initial=np.inf))


# Every behaviour, and its share of the episodes. Those that crash early give fewer frames than their share.
BEHAVIOURS: dict[str, tuple[Callable[[], Behaviour], float]] = {
    "expert": (lambda: SimulatorPolicy("expert"), 0.12),
    "noisy_expert": (NoisyExpert, 0.23),
    "idm": (lambda: SimulatorPolicy("idm"), 0.10),
    "drift": (Drift, 0.13),
    "brake_swerve": (BrakeSwerve, 0.18),
    "stop_and_go": (StopAndGo, 0.08),
    "fast": (Fast, 0.16),
}


def choose_behaviour(seed: int) -> str:
    """Name of the behaviour that drives the episode of `seed`, drawn by that seed with the shares of `BEHAVIOURS`."""
    shares = [share for _, share in BEHAVIOURS.values()]
    return list(BEHAVIOURS)[np.random.default_rng([seed, 0]).choice(len(shares), p=shares)]


def make_behaviour(name: str, seed: int) -> Behaviour:
    """The behaviour called `name`, reset for the episode of `seed`; `ValueError` for an unknown name."""
    if name not in BEHAVIOURS:
        raise unknown("behaviour", name, BEHAVIOURS)
    behaviour = BEHAVIOURS[name][0]()
    behaviour.reset(np.random.default_rng([seed, 1]))
    return behaviour
