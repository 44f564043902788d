"""From keys and game controllers to `[steer, throttle_brake]`, as driving games do it: smoothly, and less when fast."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from learned_sim_env.drivers.route import FULL_LOCK

# [1/s] How fast wheel and pedals move while a key is held, and how fast they return.
TURN, RETURN = 1.6, 3.5
PRESS, RELEASE = 2.5, 5.0
# [m/s^2] Sideways, at most, for a wheel that keys turn; [m] between the axles of a typical car.
SIDEWAYS, WHEELBASE = 6.0, 2.6
# Of a stick's way, in the middle, that means nothing.
DEAD_ZONE = 0.12
# What a key does.
LEFT, RIGHT, UP, DOWN = "left", "right", "up", "down"


def steer_limit(speed: float) -> float:
    """Steering in (0, 1] that a car of `speed` [m/s] can follow without sliding: atan(a L / v^2), in wheel angles."""
    return min(1.0, float(np.arctan2(SIDEWAYS * WHEELBASE, max(speed, 0.1) ** 2)) / FULL_LOCK)


class KeyboardWheel:
    """The wheel and pedals that keys move; `action` is where they are."""

    def __init__(self) -> None:
        self.action = np.zeros(2, np.float32)

    def update(self, held: Collection[str], seconds: float, speed: float) -> np.ndarray:
        """Move them for some seconds.

        Args:
            held: of "left", "right", "up" and "down".
            seconds: since the last call.
            speed: of the car [m/s].

        Returns:
            (2,) float32 `[steer, throttle_brake]`.
        """
        wanted_steer = steer_limit(speed) * ((RIGHT in held) - (LEFT in held))
        wanted_pedal = float(UP in held) - float(DOWN in held)
        steer, pedal = (float(v) for v in self.action)
        steer = _towards(steer, wanted_steer, TURN, RETURN, seconds)
        pedal = _towards(pedal, wanted_pedal, PRESS, RELEASE, seconds)
        self.action = np.array([steer, pedal], np.float32)
        return self.action

    def release(self) -> None:
        """Let go of everything at once."""
        self.action = np.zeros(2, np.float32)


def _towards(value: float, wanted: float, away: float, back: float, seconds: float) -> float:
    """`value` on its way to `wanted`: it moves away from zero and back to it at different speeds."""
    if value * wanted < 0 or abs(wanted) < abs(value):
        step, goal = back * seconds, 0.0 if value * wanted < 0 else wanted
    else:
        step, goal = away * seconds, wanted
    return goal if abs(goal - value) <= step else value + np.sign(goal - value) * step


def from_stick(x: float, left_trigger: float, right_trigger: float) -> np.ndarray:
    """Action (2,) float32 of a controller: its left stick steers, finely near the middle; its triggers are the pedals.

    Args:
        x: of the stick in [-1, 1], positive right.
        left_trigger, right_trigger: brake and throttle in [0, 1].
    """
    beyond = max(0.0, abs(x) - DEAD_ZONE) / (1.0 - DEAD_ZONE)
    pedals = [t if t > DEAD_ZONE else 0.0 for t in (right_trigger, left_trigger)]
    return np.clip(np.array([np.sign(x) * beyond**2, pedals[0] - pedals[1]], np.float32), -1.0, 1.0)


class Pad:
    """The first game controller, if there is one; it may come and go."""

    def __init__(self, pygame: Any):
        self._pygame = pygame
        self._device: Any = None
        try:
            # SDL knows where the sticks and triggers of several hundred controllers are.
            from pygame._sdl2 import controller

            controller.init()
            self._controllers: Any = controller
        except (ImportError, pygame.error):
            self._controllers = None
        self.look()

    @property
    def name(self) -> str:
        """Of the controller, or ""."""
        return str(self._device.name) if self._device is not None else ""

    def look(self) -> None:
        """Look which controllers are there: at the start, and when one was plugged in or out."""
        self._device = None
        if self._controllers is None:
            return
        for i in range(self._controllers.get_count()):
            if self._controllers.is_controller(i):
                self._device = self._controllers.Controller(i)
                return

    def action(self, speed: float) -> np.ndarray | None:
        """What it says, the wheel within what a car of `speed` [m/s] can follow; None where it is not touched."""
        if self._device is None:
            return None
        axis, pygame = self._device.get_axis, self._pygame
        axes = pygame.CONTROLLER_AXIS_LEFTX, pygame.CONTROLLER_AXIS_TRIGGERLEFT, pygame.CONTROLLER_AXIS_TRIGGERRIGHT
        action = from_stick(*(axis(a) / 32767 for a in axes))
        action[0] *= steer_limit(speed)
        return action if action.any() else None
