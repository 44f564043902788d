"""What might as well have been imagined: a few other futures of the same moment, under the same actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from learned_sim_env.display.frame import Views
from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.rollout import Rollout
from learned_sim_env.imagination.starts import Start
from learned_sim_env.viewer.timeline import TimelineMoment
from learned_sim_env.world_model.protocol import device_of

COUNT = 8
# [steps] A bundle of futures is shown from this age on, until it is twice as old and the next one takes its place.
APART = 15
# [of 255] Mean difference of a pixel's colours that is as large as differences are shown.
FAR_APART = 64.0


def overlaid(views: Views) -> tuple[str, ...]:
    """Views that are compared with those of other futures: of classes where there are any, else the middle camera."""
    maps = tuple(name for name, view in views.items() if view.ndim == 2)
    return maps or tuple(views)[len(views) // 2 :][:1]


def disagreement(view: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How much of a view the same views of n other futures show otherwise.

    Args:
        view: class ids (H, W) or RGB (H, W, 3), uint8.
        others: (n, *view.shape) uint8.

    Returns:
        (H, W) uint8: the share of those that show another class, 255 for all; or the mean difference of colours, 255
        for `FAR_APART` or more.
    """
    if view.ndim == 2:
        return np.rint((others != view).mean(0) * 255).astype(np.uint8)
    apart = np.abs(others.astype(np.float32) - view).mean((0, -1))
    return np.rint(np.minimum(apart / FAR_APART, 1.0) * 255).astype(np.uint8)


@dataclass(eq=False)
class Bundle:
    """Futures that were one moment `age` steps ago."""

    rollout: Rollout
    age: int = 0

    def step(self, action: np.ndarray) -> None:
        """Advance all of them under `action` (2,) float32."""
        self.rollout.step(np.repeat(action[None], COUNT, 0))
        self.age += 1


class FutureBundles:
    """Keeps bundles of futures up with a dream, so that there is always one of 1.5 to 3 s, the dream's age allowing.

    Args:
        dream: a learned environment, single.
    """

    def __init__(self, dream: Any):
        # The dream's own: it may run in another precision than the checkpoint's.
        rollout: Rollout = dream.episodes.rollout
        self._model, self._temperature = rollout.model, rollout.temperature
        self._inference = Inference(device_of(self._model), rows=1)
        self._bundles: list[Bundle] = []
        self._at: TimelineMoment | None = None

    def overlay(self, moment: TimelineMoment) -> tuple[Views, int]:
        """How many of the futures show another class, pixel by pixel; see `disagreement` for cameras.

        Only of `overlaid`: to draw all cameras of all futures takes longer than a clock step.

        Returns:
            (H, W) uint8 by view, 255 for all of them, and how many steps ago they parted.
        """
        if moment.parent is not None and moment.parent is self._at:
            self._advance(moment)
        elif moment is not self._at:
            self._catch_up(moment)
        self._at = moment
        oldest = self._bundles[0]
        rows = np.arange(COUNT)
        found = {n: disagreement(moment.views[n], oldest.rollout.drawn(n, rows)) for n in overlaid(moment.views)}
        return found, oldest.age

    def _advance(self, moment: TimelineMoment) -> None:
        assert moment.action is not None
        for bundle in self._bundles:
            bundle.step(moment.action)
        if self._bundles[-1].age >= APART:
            self._bundles.append(self._parting(moment))
        if self._bundles[0].age > 2 * APART:
            del self._bundles[0]

    def _catch_up(self, moment: TimelineMoment) -> None:
        """As if the overlay had been on for a while."""
        past = [m for _, m in zip(range(2 * APART), moment.back())][::-1]
        self._bundles = [self._parting(past[0])]
        for later in past[1:]:
            self._advance(later)

    def _parting(self, moment: TimelineMoment) -> Bundle:
        rollout = Rollout(self._model, COUNT, self._inference, self._temperature)
        snapshot = moment.snapshot
        start = Start.from_snapshot(self._model, self._inference, snapshot, moment.observation["ego"])
        # Seeds of their own, and none of them the dream's.
        seeds = np.random.default_rng([snapshot["seed"], snapshot["step"]]).integers(2**63, size=COUNT)
        rollout.start(np.arange(COUNT), start, seeds, snapshot["step"])
        return Bundle(rollout)
