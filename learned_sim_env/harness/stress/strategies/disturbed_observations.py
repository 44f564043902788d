"""What may become of what is seen between the world and the driver. The world itself stays as it is.

Each strategy changes the view from above and the cameras, as far as it can be done to them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env.harness.engine.perturbation import OnObservation, Perturbation, Seen, is_camera
from learned_sim_env.harness.stress.strategies import disturbed_frames as frames
from learned_sim_env.measures.needs import Needs
from learned_sim_env.spec import NUM_CLASSES, BevSpec, SemanticClass

BEV = BevSpec()
_PICTURES, _CAMERAS = Needs(pictures=True), Needs(cameras=True)
# What strength 1 means: [pixels] side of a patch, [pixels] radius of a blur.
PATCH, BLUR = 40, 4
# [m] How far one sees in the clear, and in the worst weather; [1] share of pixels that a drop or flake hides then.
CLEAR, DENSE, SPECKLES = 36.0, 4.0, 0.25


@dataclass(frozen=True)
class Patch(Perturbation):
    """A square of each view, in the same place for the whole drive: of the view from above, somewhere ahead or beside,
    it shows nothing; of a camera it shows random colours.
    """

    name = "patch"
    needs = _PICTURES
    in_simulator = True

    def observation(self) -> OnObservation:
        rng, side = self.rng(), round(self.strength * PATCH)
        top, left = rng.integers(0, BEV.ego_row), rng.integers(0, BEV.width)
        rows = slice(max(top - side // 2, 0), top - side // 2 + side)
        columns = slice(max(left - side // 2, 0), left - side // 2 + side)
        patches: dict[str, frames.Patch] = {}

        def see(t: int, seen: Seen) -> Seen:
            if "bev" in seen:
                seen["bev"][rows, columns] = SemanticClass.OFF_ROAD
            for name, view in _cameras(seen):
                if name not in patches:
                    patches[name] = frames.Patch.drawn(self.named(name), view.shape, self.strength)
                patches[name].paint(view)
            return seen

        return see


@dataclass(frozen=True)
class Occlusion(Perturbation):
    """Dirt on the lenses: of every camera's picture, a share of `strength` is dark, from one edge on."""

    name = "occlusion"
    needs = _CAMERAS
    in_simulator = True

    def observation(self) -> OnObservation:
        def see(t: int, seen: Seen) -> Seen:
            for name, view in _cameras(seen):
                frames.cover(view, self.strength, edge=int(self.named(name).integers(4)))
            return seen

        return see


@dataclass(frozen=True)
class Blur(Perturbation):
    """Every pixel shows what most of those around it do, or their mean: what is small is lost first."""

    name = "blur"
    needs = _PICTURES
    in_simulator = True

    def observation(self) -> OnObservation:
        radius = round(self.strength * BLUR)

        def see(t: int, seen: Seen) -> Seen:
            if radius == 0:
                return seen
            blurred = {name: frames.blurred(view, radius) for name, view in _cameras(seen)}
            if "bev" in seen:
                counts = (seen["bev"][None] == np.arange(NUM_CLASSES)[:, None, None]).astype(np.int32)
                blurred["bev"] = frames.box_sums(counts, radius, (1, 2)).argmax(0).astype(np.uint8)
            return {**seen, **blurred}

        return see


@dataclass(frozen=True)
class SensorNoise(Perturbation):
    """Noise on every camera's pixels, another one in every step, as of a sensor that lacks light."""

    name = "sensor_noise"
    needs = _CAMERAS
    in_simulator = True

    def observation(self) -> OnObservation:
        rng = self.rng()

        def see(t: int, seen: Seen) -> Seen:
            return {**seen, **{n: frames.noisy(view, self.strength, rng) for n, view in _cameras(seen)}}

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
    """Haze that hides what is far, and drops that hide pixels, other ones in every step."""

    name = "weather"
    needs = _PICTURES
    in_simulator = True

    def observation(self) -> OnObservation:
        rng = self.rng()
        far = np.hypot(*BEV.pixel_centres().transpose(2, 0, 1)) > CLEAR + self.strength * (DENSE - CLEAR)

        def see(t: int, seen: Seen) -> Seen:
            if self.strength == 0:
                return seen
            if "bev" in seen:
                view = seen["bev"]
                view[far] = SemanticClass.OFF_ROAD
                view[rng.random(view.shape) < self.strength * SPECKLES] = SemanticClass.OFF_ROAD
            for name, view in _cameras(seen):
                view[:] = frames.hazy(view, name, self.strength)
                view[rng.random(view.shape[:2]) < self.strength * SPECKLES] = frames.HAZE
            return seen

        return see


def _cameras(seen: Seen) -> list[tuple[str, np.ndarray]]:
    return [(name, value) for name, value in seen.items() if is_camera(value)]
