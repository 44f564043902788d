"""Another light or weather in the world itself, which cameras see: from the start on, or all of a sudden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from learned_sim_env.harness.engine.perturbation import OnObservation, Perturbation, Seen, is_camera
from learned_sim_env.harness.stress.strategies.imitated_appearance import imitated, towards
from learned_sim_env.measures.needs import Needs
from learned_sim_env.rendering.camera import Appearance

# [steps] After which it changes suddenly: a second.
BEGIN = 10


@dataclass(frozen=True)
class Condition(Perturbation):
    """Base: begins in a world that looks so, as far from its own look as the strength says.

    The real moments that a dream starts from are drawn anew in it by the simulator, so that the model sees it; the twin
    drives in it.
    """

    needs = Needs(cameras=True)
    in_simulator = True
    redraws = True
    condition: ClassVar[str] = ""

    def appearance(self, scenario: int) -> Appearance | None:
        return towards(Appearance.draw(scenario), self.condition, self.strength) if self.strength else None


@dataclass(frozen=True)
class Night(Condition):
    """Begins by night."""

    name = condition = "night"


@dataclass(frozen=True)
class Fog(Condition):
    """Begins in fog."""

    name = condition = "fog"


@dataclass(frozen=True)
class Rain(Condition):
    """Begins in the rain."""

    name = condition = "rain"


@dataclass(frozen=True)
class SuddenCondition(Perturbation):
    """Base: a second after the start the world begins to look so.

    A simulator's cameras are drawn in it from then on. A dream cannot be told so: what its cameras show is changed, see
    `imitated`.
    """

    needs = Needs(cameras=True)
    in_simulator = True
    condition: ClassVar[str] = ""

    def later_appearance(self, scenario: int) -> tuple[int, Appearance] | None:
        return (BEGIN, towards(Appearance.draw(scenario), self.condition, self.strength)) if self.strength else None

    def imitation(self, scenario: int) -> OnObservation | None:
        change = self.later_appearance(scenario)
        if change is None:
            return None
        own, (begin, new) = Appearance.draw(scenario), change

        def see(t: int, seen: Seen) -> Seen:
            if t < begin:
                return seen
            return {n: imitated(v, n, own, new) if is_camera(v) else v for n, v in seen.items()}

        return see


@dataclass(frozen=True)
class SuddenNight(SuddenCondition):
    """The light goes, as in a tunnel."""

    name = "sudden_night"
    condition = "night"


@dataclass(frozen=True)
class SuddenFog(SuddenCondition):
    """The ego drives into a bank of fog."""

    name = "sudden_fog"
    condition = "fog"
