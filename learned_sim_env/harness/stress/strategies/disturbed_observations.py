"""What may become of what is seen between the world and the driver. The world itself stays as it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env.harness.engine.perturbation import OnObservation, Perturbation, Seen
from learned_sim_env.measures.needs import Needs
from learned_sim_env.spec import NUM_CLASSES, BevSpec, SemanticClass

BEV = BevSpec()
_FROM_ABOVE = Needs(draws=("bev",))
# What strength 1 means: [pixels] side of a patch, [pixels] radius of a blur.
PATCH, BLUR = 40, 4
# [m] How far one sees in the clear, and in the worst weather; [1] share of pixels that a drop or flake hides then.
CLEAR, DENSE, SPECKLES = 36.0, 4.0, 0.25


@dataclass(frozen=True)
class Patch(Perturbation):
    """A square of the view that shows nothing, somewhere ahead or beside, in the same place for the whole drive."""

    name = "patch"
    needs = _FROM_ABOVE
    in_simulator = True

    def observation(self) -> OnObservation:
        rng, side = self.rng(), round(self.strength * PATCH)
        top, left = rng.integers(0, BEV.ego_row), rng.integers(0, BEV.width)
        rows = slice(max(top - side // 2, 0), top - side // 2 + side)
        columns = slice(max(left - side // 2, 0), left - side // 2 + side)

        def see(t: int, seen: Seen) -> Seen:
            if "bev" in seen:
                seen["bev"][rows, columns] = SemanticClass.OFF_ROAD
            return seen

        return see


@dataclass(frozen=True)
class Blur(Perturbation):
    """Every pixel shows what most of those around it do: what is small, cars and lines, is lost first."""

    name = "blur"
    needs = _FROM_ABOVE
    in_simulator = True

    def observation(self) -> OnObservation:
        radius = round(self.strength * BLUR)

        def see(t: int, seen: Seen) -> Seen:
            if radius == 0 or "bev" not in seen:
                return seen
            view = seen["bev"]
            counts = (view[None] == np.arange(NUM_CLASSES)[:, None, None]).astype(np.int32)
            size = 2 * radius + 1
            for axis in (1, 2):
                pad = [(0, 0)] * 3
                pad[axis] = (radius + 1, radius)
                total = np.pad(counts, pad, mode="edge").cumsum(axis)
                head, tail = (np.take(total, np.arange(view.shape[axis - 1]) + shift, axis) for shift in (size, 0))
                counts = head - tail
            return {**seen, "bev": counts.argmax(0).astype(np.uint8)}

        return see


@dataclass(frozen=True)
class DroppedFrames(Perturbation):
    """An observation that gets lost, with a chance of `strength`: the one before it is seen again."""

    name = "dropped_frames"
    in_simulator = True

    def observation(self) -> OnObservation:
        rng, last = self.rng(), list[Seen]()

        def see(t: int, seen: Seen) -> Seen:
            if not last or rng.random() >= self.strength:
                last[:] = [{name: value.copy() for name, value in seen.items()}]
            return last[0]

        return see


@dataclass(frozen=True)
class Weather(Perturbation):
    """Fog that hides what is far, and drops that hide pixels, other ones in every step."""

    name = "weather"
    needs = _FROM_ABOVE
    in_simulator = True

    def observation(self) -> OnObservation:
        rng = self.rng()
        far = np.hypot(*BEV.pixel_centres().transpose(2, 0, 1)) > CLEAR + self.strength * (DENSE - CLEAR)

        def see(t: int, seen: Seen) -> Seen:
            if "bev" in seen:
                view = seen["bev"]
                view[far if self.strength > 0 else np.zeros_like(far)] = SemanticClass.OFF_ROAD
                view[rng.random(view.shape) < self.strength * SPECKLES] = SemanticClass.OFF_ROAD
            return seen

        return see
