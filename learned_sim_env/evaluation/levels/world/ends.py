"""How episodes end, dreams and the simulator's, and how many dreams are cut off by the model's own doubt."""

from __future__ import annotations

import numpy as np

from learned_sim_env.evaluation.drives.drives import Drives
from learned_sim_env.measures.bootstrap import Estimate
from learned_sim_env.task import ENDS

DOUBT = "uncertainty"


def reasons(drives: Drives) -> np.ndarray:
    """(N,) str of `ENDS`: as in an environment, which doubt ends as well."""
    return np.where(drives.doubted, DOUBT, drives.ends)


def shares(drives: Drives, weights: np.ndarray) -> dict[str, Estimate]:
    """By reason, of those that occur: the share of drives, which count as often as `weights` (R, N)."""
    why, total = reasons(drives), weights.sum(1)
    return {end: Estimate.of(weights @ (why == end) / total) for end in ENDS if (why == end).any()}


def within_doubt(drives: Drives, drawn: np.ndarray) -> np.ndarray:
    """(N, A) bool: moments at steps `drawn` (A,) that an environment would have shown."""
    shown: np.ndarray = drives.running & ~(drives.doubted[:, None] & (drawn >= drives.doubted_at[:, None]))
    return shown
