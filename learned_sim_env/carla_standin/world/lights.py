"""Traffic lights that take turns, as CARLA's do: one controller of a junction is green at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

from learned_sim_env.carla_standin.world.actors import Actor
from learned_sim_env.carla_standin.world.signs import Signal

RED, YELLOW, GREEN, OFF, UNKNOWN = range(5)


@dataclass(eq=False)
class Light:
    """One traffic light. times: seconds of green, of yellow, and of red for all before the next turn."""

    actor: Actor
    signal: Signal
    times: list[float] = field(default_factory=lambda: [10.0, 3.0, 2.0])
    state: int = RED
    frozen: bool = False


@dataclass(eq=False)
class LightGroup:
    """The lights of a junction, by controller, in the order of their turns."""

    controllers: list[list[Light]]
    turn: int = 0
    elapsed: float = 0.0

    @property
    def lights(self) -> list[Light]:
        """All of them."""
        return [light for lights in self.controllers for light in lights]

    def reset(self) -> None:
        """Begin with the first controller's green."""
        self.turn, self.elapsed = 0, 0.0
        self._show()

    def step(self, dt: float) -> None:
        """Let `dt` seconds pass."""
        if any(light.frozen for light in self.lights):
            return
        self.elapsed += dt
        if self.elapsed >= sum(self.controllers[self.turn][0].times):
            self.turn, self.elapsed = (self.turn + 1) % len(self.controllers), 0.0
        self._show()

    def _show(self) -> None:
        for i, lights in enumerate(self.controllers):
            for light in lights:
                green, yellow, _ = light.times
                on = self.elapsed < green + yellow
                light.state = RED if i != self.turn or not on else GREEN if self.elapsed < green else YELLOW
