"""Whether a dream puts policies in the order that their twin puts them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from learned_sim_env.measures.bootstrap import Estimate, ratio, resample
from learned_sim_env.measures.rank_correlation import spearman
from learned_sim_env.reinforcement.matched import DrivenStretches

REPLICATES = 2000
# Ways in which the moments are halved.
HALVINGS = 200


@dataclass(frozen=True, eq=False)
class Ranking:
    """P policies by one quantity ("reward" or "cost"), summed over a stretch from the same moments.

    dream, twin: (P,) means with intervals. pearson, spearman, mmrv: of these means. bias: the dream's less the twin's,
    (P,). Intervals come from resampling the moments; they say nothing about other policies. twin_itself: Spearman
    between means of the twin over one set of moments and over another one as large: what no dream can be asked to
    exceed by much.
    """

    quantity: str
    names: tuple[str, ...]
    twin_itself: float
    dream: Estimate
    twin: Estimate
    bias: Estimate
    pearson: Estimate
    spearman: Estimate
    mmrv: Estimate


def rank(sides: Mapping[str, tuple[DrivenStretches, DrivenStretches]], quantity: str) -> Ranking:
    """Compare policies by their drives in the dream (K moments times repeats) and in the twin (K moments).

    Raises:
        ValueError: for fewer than 3 policies.
    """
    if len(sides) < 3:
        raise ValueError(f"{len(sides)} policies cannot be ranked: at least 3 are needed")
    twin = np.stack([getattr(real, quantity) for _, real in sides.values()])
    moments = twin.shape[1]
    dream = np.stack([getattr(dreamt, quantity).reshape(moments, -1).mean(1) for dreamt, _ in sides.values()])
    weights = resample(np.arange(moments), moments, REPLICATES, seed=0)
    share = weights / weights.sum(1, keepdims=True)
    x, y = share @ dream.T, share @ twin.T
    included = np.ones(x.shape, bool)
    return Ranking(
        quantity,
        tuple(sides),
        repeatability(twin),
        *(Estimate.of(v) for v in (x, y, x - y, pearson(x, y), spearman(x, y, included), mmrv(x, y))),
    )


def repeatability(values: np.ndarray) -> float:
    """Spearman between policies' means over K moments and over K others, from values (P, K); NaN for one moment.

    From halves of the moments, by the formula of Spearman and Brown (1910): twice as many make r to 2 r / (1 + r).
    """
    moments = values.shape[1]
    if moments < 2:
        return float("nan")
    rng = np.random.default_rng(0)
    order = rng.permuted(np.tile(np.arange(moments), (HALVINGS, 1)), axis=1)
    one, other = (values[:, part].mean(-1).T for part in (order[:, : moments // 2], order[:, moments // 2 :]))
    r = float(spearman(one, other, np.ones(one.shape, bool)).mean())
    return 2 * r / (1 + r)


def pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Correlation of x and y (..., P): (...,) in [-1, 1]; NaN where one of them never changes."""
    a, b = (v - v.mean(-1, keepdims=True) for v in (x, y))
    return ratio((a * b).sum(-1), np.sqrt((a * a).sum(-1) * (b * b).sum(-1)))


def mmrv(dream: np.ndarray, twin: np.ndarray) -> np.ndarray:
    """Mean maximum rank violation (SIMPLER, arXiv 2405.05941) of (..., P): (...,), in the twin's units, 0 is perfect.

    Of each policy, the largest true difference to another one that the dream puts on the wrong side of it; then the
    mean over policies.
    """
    x, y = (v[..., :, None] - v[..., None, :] for v in (dream, twin))
    return np.where((x < 0) != (y < 0), np.abs(y), 0.0).max(-1).mean(-1)
