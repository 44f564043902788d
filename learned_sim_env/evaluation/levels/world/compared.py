"""Whole episodes in the dream beside those in its twin: ends, what is met, likeness by age, and what doubt says."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from learned_sim_env.evaluation.drives.drives import Drives
from learned_sim_env.evaluation.levels.world.contents import count
from learned_sim_env.evaluation.levels.world.ends import shares, within_doubt
from learned_sim_env.evaluation.levels.world.likeness import distances, spread, told
from learned_sim_env.measures.bootstrap import Estimate, resample
from learned_sim_env.spec import Contract

DREAM, TWIN = "dream", "simulator"
# What the entries of a Frechet distance are.
FRECHET = (DREAM, TWIN, "ratio")


class Compared(NamedTuple):
    """What came out of both sides, by name.

    ages: [steps] since the last real moment; a span of steps goes from one to the next, the first from 1 on. ends: the
    share of each reason. under_way: drives at each age. contents: (M,) of `contents.MEASURES` in each span. frechet:
    (3,), see `FRECHET`, at each age. auroc: of doubt in each span.
    """

    ages: list[int]
    ends: dict[str, dict[str, Estimate]]
    under_way: dict[str, list[int]]
    contents: dict[str, list[Estimate]]
    frechet: list[Estimate]
    auroc: list[Estimate]

    @property
    def spans(self) -> list[tuple[int, int]]:
        """The last step before each span, and its last."""
        return list(zip([0, *self.ages], self.ages))


def compare(
    dream: Drives, twin: Drives, drawn: list[int], ages: list[int], contract: Contract, replicates: int, seed: int
) -> Compared:
    """Compare N drives with those of the same scenarios in the simulator.

    Args:
        drawn: the steps (A,) at which drives have views.
        ages: of these, those that are looked at.
        replicates: of the drives, for intervals. seed: of their chance.
    """
    steps, n = np.array(drawn), len(dream.running)
    weights, seconds = resample(np.arange(n), n, replicates, seed), np.diff(steps, prepend=0) * contract.dt
    sides = {DREAM: dream, TWIN: twin}
    shown = {name: within_doubt(side, steps) for name, side in sides.items()}
    counts = {name: count(side, shown[name], seconds, contract.bev) for name, side in sides.items()}
    spans = [(steps > since) & (steps <= age) for since, age in zip([0, *ages], ages)]
    at = np.searchsorted(steps, ages)
    frechet, auroc = [], []
    for i, span in zip(at, spans):
        lasting = shown[DREAM][:, i], shown[TWIN][:, i]
        halves = distances(views(dream)[:, i], views(twin)[:, i], lasting, seed)
        frechet.append(spread(np.concatenate([halves, halves[:, :1] / halves[:, 1:]], 1)))
        real = views(twin)[twin.running & span]
        auroc.append(told(weights, views(dream), dream.doubt, dream.running & span, real))
    return Compared(
        ages,
        {name: shares(side, weights) for name, side in sides.items()},
        {name: there[:, at].sum(0).tolist() for name, there in shown.items()},
        {name: [counts[name].over(weights, span) for span in spans] for name in sides},
        frechet,
        auroc,
    )


def views(side: Drives) -> np.ndarray:
    """(N, A, h, w) uint8 of drives."""
    assert side.views is not None, "the level needs a model that draws them"
    return side.views
