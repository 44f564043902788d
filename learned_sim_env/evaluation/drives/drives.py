"""What is kept of drives that begin at the same moments, in a dream and in its twin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env.settings import check_at_least

# Steps since the last real moment that are looked at in any case.
AGES = (1, 15, 30, 100, 300, 500)


@dataclass(frozen=True)
class DrivesConfig:
    """drives: scenarios. before: steps driven before the context, so that it is one of driving. steps: after it.
    every: steps between the moments at which cameras are drawn, as an environment does at each. appearance: a condition
    of all drives; "" for that of each scenario's seed. seed: of the dream's chances.
    """

    drives: int = 48
    before: int = 20
    steps: int = 300
    every: int = 5
    appearance: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least(self, drives=1, before=0, steps=1, every=1)

    @property
    def drawn(self) -> list[int]:
        """Steps after the context at which cameras are drawn, ascending; the first, 0, is its last moment."""
        ages = [age for age in AGES if age <= self.steps]
        return sorted({*range(0, self.steps + 1, self.every), *ages, self.steps})


@dataclass(frozen=True, eq=False)
class Drives:
    """N drives at the A steps `drawn` after their contexts.

    running: (N, A) bool, whether the episode had not ended before. finite: (N,) bool, whether all that was predicted in
    a drive is finite; it ends with what is not. frames: by camera, (N, A, H, W, 3) uint8. views: (N, A, h, w) uint8
    classes seen from above; None where there are none. ego: (N, A, 6) float32. ends: (N,) str, of `task.ENDS`, how the
    episodes ended, "time_limit" where they did not. doubt: (N, A) float32, the model's uncertainty; 0 in a simulator.
    doubted: (N,) bool, whether it was above the checkpoint's bound at a step before the end; an environment would have
    ended the episode there, at the step `doubted_at` (N,) int64.
    """

    running: np.ndarray
    finite: np.ndarray
    frames: dict[str, np.ndarray]
    views: np.ndarray | None
    ego: np.ndarray
    ends: np.ndarray
    doubt: np.ndarray
    doubted: np.ndarray
    doubted_at: np.ndarray
