"""What might as well have been imagined: a few other futures of the same moment, under the same actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.rollout import Rollout
from learned_sim_env.imagination.starts import Start
from learned_sim_env.viewer.timeline import Moment

COUNT = 8
# [steps] A bundle of futures is shown from this age on, until it is twice as old and the next one takes its place.
APART = 15


@dataclass(eq=False)
class Bundle:
    """Futures that were one moment `age` steps ago."""

    rollout: Rollout
    age: int = 0

    def step(self, action: np.ndarray) -> None:
        """Advance all of them under `action` (2,) float32."""
        self.rollout.step(np.repeat(action[None], COUNT, 0))
        self.age += 1


class Futures:
    """Keeps bundles of futures up with a dream, so that there is always one of 1.5 to 3 s, the dream's age allowing.

    Args:
        dream: a learned environment, single.
    """

    def __init__(self, dream: Any):
        # The dream's own: it may run in another precision than the checkpoint's.
        rollout: Rollout = dream.episodes.rollout
        self._model, self._temperature = rollout.model, rollout.temperature
        self._inference = Inference(next(iter(self._model.initial(1).values())).device, rows=1)
        self._bundles: list[Bundle] = []
        self._at: Moment | None = None

    def overlay(self, moment: Moment) -> tuple[np.ndarray, float]:
        """How many of the futures show another class, pixel by pixel.

        Returns:
            (H, W) uint8, 255 for all of them, and how many steps ago they parted.
        """
        if moment.parent is not None and moment.parent is self._at:
            self._advance(moment)
        elif moment is not self._at:
            self._catch_up(moment)
        self._at = moment
        oldest = self._bundles[0]
        views = oldest.rollout.drawn("bev", np.arange(COUNT))
        return np.rint((views != moment.view).mean(0) * 255).astype(np.uint8), oldest.age

    def _advance(self, moment: Moment) -> None:
        assert moment.action is not None
        for bundle in self._bundles:
            bundle.step(moment.action)
        if self._bundles[-1].age >= APART:
            self._bundles.append(self._parting(moment))
        if self._bundles[0].age > 2 * APART:
            del self._bundles[0]

    def _catch_up(self, moment: Moment) -> None:
        """As if the overlay had been on for a while."""
        past = [m for _, m in zip(range(2 * APART), moment.back())][::-1]
        self._bundles = [self._parting(past[0])]
        for later in past[1:]:
            self._advance(later)

    def _parting(self, moment: Moment) -> Bundle:
        rollout = Rollout(self._model, COUNT, self._inference, self._temperature)
        snapshot = moment.snapshot
        start = Start.from_snapshot(self._model, self._inference, snapshot, moment.observation["ego"])
        # Seeds of their own, and none of them the dream's.
        seeds = np.random.default_rng([snapshot["seed"], snapshot["step"]]).integers(2**63, size=COUNT)
        rollout.start(np.arange(COUNT), start, seeds, snapshot["step"])
        return Bundle(rollout)
