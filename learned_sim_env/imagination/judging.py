"""How reward, cost and end of a step follow from what a model's heads say: for all that drives dreams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env import task
from learned_sim_env.imagination.rollout import Imagined
from learned_sim_env.spec import Contract


@dataclass(frozen=True)
class Judgement:
    """One imagined step of B rows, judged.

    imagined: what was, with nothing where it was not finite. outcome: reward, cost, and ends by what happened.
    end: (B,) int8, index into `task.ENDS`, or -1 where the episode goes on.
    """

    imagined: Imagined
    outcome: task.Outcome
    end: np.ndarray

    @property
    def terminated(self) -> np.ndarray:
        """(B,) bool: by what happened."""
        return self.outcome.terminated

    @property
    def truncated(self) -> np.ndarray:
        """(B,) bool: by what says nothing about the driving."""
        return (self.end >= 0) & ~self.terminated


def judge(imagined: Imagined, contract: Contract, bound: float, late: np.ndarray | bool = False) -> Judgement:
    """What a step was worth, and whether it was the last.

    Args:
        imagined: of B rows.
        contract: with the weights of the reward.
        bound: uncertainty above which a row is truncated.
        late: (B,) bool, rows that have reached their time limit.
    """
    imagined = imagined.or_nothing()
    outcome = task.outcome(imagined.terms, imagined.events, contract.reward)
    end = np.where(imagined.uncertainty > bound, task.UNCERTAINTY, -1)
    end = np.where(late, task.TIME_LIMIT, end)
    if not imagined.everywhere:
        end = np.where(imagined.finite, end, task.NOT_FINITE)
    return Judgement(imagined, outcome, np.where(outcome.terminated, outcome.end, end).astype(np.int8))
