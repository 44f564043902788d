"""A simulator whose dynamics are known: the speed is ten times the throttle, the heading turns with the wheel."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.scene import Scene
from learned_sim_env.simulators import SIMULATORS
from learned_sim_env.spec import Contract, SemanticClass
from tests import scenes

# Seeds that begin somewhere else on the road of `scenes.straight_road`, which arrives from x = 144 on.
NEAR_THE_END, NEAR_A_CONE, NEAR_THE_EDGE = 1001, 1002, 1003
PLACES = {NEAR_THE_END: (143.5, 0.0), NEAR_A_CONE: (0.0, 0.0), NEAR_THE_EDGE: (0.0, -2.0)}
CONE = scenes.agents((SemanticClass.STATIC_OBJECT, 3.0, 0.0, 0.0, 0.3, 0.3))


class ToySimulator:
    """Starts at x = seed / 10 unless the seed is named above. `calls` remembers what was asked of it.

    delay: [s] that a step takes.
    """

    def __init__(self, contract: Contract, top_speed: float = 10.0, delay: float = 0.0):
        self.contract, self.top_speed, self.delay = contract, top_speed, delay
        self.calls: list[Any] = []

    @staticmethod
    def in_use() -> bool:
        return False

    def reset(self, seed: int, options: dict[str, Any]) -> Scene:
        self.calls.append(("reset", seed, options))
        if "error" in options:
            raise options["error"]
        print("simulators print what they like")
        x, y = PLACES.get(seed, (seed % 1000 / 10, 0.0))
        self.scene = scenes.scene(others=CONE if seed == NEAR_A_CONE else None, x=x, y=y)
        return self.scene

    def step(self, action: np.ndarray) -> Scene:
        self.calls.append(("step", action))
        time.sleep(self.delay)
        before, dt = self.scene.ego, self.contract.dt
        steer, throttle = map(float, action)
        speed, heading = self.top_speed * throttle, before.heading - 0.1 * steer
        velocity = (speed * np.cos(heading), speed * np.sin(heading))
        after = scenes.ego(
            x=before.x + velocity[0] * dt,
            y=before.y + velocity[1] * dt,
            heading=heading,
            velocity=velocity,
            yaw_rate=-steer,
            acceleration=(speed - before.speed) / dt,
            steer=steer,
            throttle_brake=throttle,
        )
        self.scene = replace(self.scene, ego=after)
        return self.scene

    def policy_action(self, name: str) -> np.ndarray:
        return np.array([0.0, len(name)], np.float32)

    def close(self) -> None:
        self.calls.append("close")


def isolated_twin() -> TwinDrivingEnv:
    """For the workers of a vector environment, which import this module by name."""
    SIMULATORS["toy"] = "tests.toy_simulator:ToySimulator"
    return TwinDrivingEnv("toy", isolate=True)
