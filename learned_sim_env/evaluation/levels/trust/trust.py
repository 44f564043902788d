"""Whether a model's uncertainty rises with its errors: level 4, "uncertainty calibrated"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.levels.trust.rollouts import (
    BASELINES,
    DRAW_EVERY,
    SCORES,
    TrustConfig,
    UncertainFutures,
    scores_of,
    uncertain_futures,
)
from learned_sim_env.evaluation.open_loop import episodes_for
from learned_sim_env.measures.bootstrap import Estimate, ratio, resample
from learned_sim_env.measures.events import auroc
from learned_sim_env.measures.needs import Needs
from learned_sim_env.measures.weighted_ranks import Metric, by_step, over_all, over_steps, weighted_spearman
from learned_sim_env.reporting.display import number, plain, text
from learned_sim_env.reporting.parts import Part, Table
from learned_sim_env.world_model.checkpoint import Checkpoint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What may be an error, and the bounds above which it counts as one.
ERRORS: dict[str, tuple[float, ...]] = {"position [m]": (0.5, 1.0), "wrong pixels": (0.1, 0.2)}
# Beside the checkpoint's own bound, those that these quantiles of the uncertainty would be.
QUANTILES = (0.99, 0.95, 0.9)
# Shares of steps, and what would order them best.
KEPT = np.linspace(0.1, 1, 10)
_ORACLE = "the error itself"
_LIMITS = (
    "An order is not a size: whether as much is wrong as the uncertainty says is another question. What chance "
    "decides (what others will do, which road comes next) is an error here and need not be an uncertainty, so "
    "that even a perfect one would not score 1. It was learned from errors in training data: of what is unlike "
    "them it knows nothing. Recorded actions lead where data is; a policy trained inside may seek out where "
    "the model is wrong and sure, which only level 7 can show. Steps after the end of an episode do not count, "
    "so the worst moments, crashes, count only before they happen. Views are drawn every "
    f"{DRAW_EVERY} steps only, and fill in at once what an environment imagines bit by bit."
)


def trust(checkpoint: Checkpoint, data: PackedData, config: TrustConfig | None = None) -> Part:
    """Compare a model's uncertainty with its errors in open-loop futures of recorded episodes.

    Raises:
        ValueError: if the data was recorded under another contract, or has no episode long enough.
    """
    config = config or TrustConfig()
    data = episodes_for(checkpoint, data)
    futures = uncertain_futures(checkpoint.model, data, config)
    weights = resample(futures.episode, len(data), config.replicates, config.seed)
    scores, errors = scores_of(futures), {"position [m]": futures.position}
    if futures.wrong is not None:
        errors["wrong pixels"] = futures.wrong
    ranks: dict[str, dict[str, dict[str, Estimate]]] = {}
    for error in errors:
        bounds = ERRORS[error]
        ranks[error] = {name: _ranks(weights, score, errors[error], futures, bounds) for name, score in scores.items()}
    cuts = _cuts(weights, futures, errors, checkpoint.uncertainty_bound)
    curves = {
        error: {where: _curves(scores, value, futures, steps) for where, steps in _places(futures).items()}
        for error, value in errors.items()
    }
    steps = {
        error: Estimate.of(by_step(weighted_spearman, weights, futures.uncertainty, value, _known(futures, value)))
        for error, value in errors.items()
    }
    lacking = None if futures.wrong is not None else Needs(draws=("bev",)).lacking(checkpoint.model)
    return Part(
        name="trust",
        title="L4: does its uncertainty tell when it errs",
        method=_method(config, len(data), len(futures.episode), lacking),
        limits=_LIMITS,
        tables=(
            *(_rank_table(error, found) for error, found in ranks.items()),
            _cut_table(cuts),
        ),
        values={
            "futures": len(futures.episode),
            "steps": int(futures.valid.sum()),
            "horizon": config.horizon,
            "uncertainty_bound": plain(checkpoint.uncertainty_bound),
            "uncertainty_quantiles": {
                f"{q:g}": plain(np.quantile(futures.uncertainty[futures.valid], q)) for q in (0.01, 0.5, 0.99, 0.999, 1)
            },
            "mean_error_by_step": {
                error: plain(ratio(np.where(_known(futures, v), v, 0).sum(0), _known(futures, v).sum(0)))
                for error, v in errors.items()
            },
            "ranks": plain(ranks),
            "rank_correlation_by_step": plain(steps),
            "cuts": plain(cuts),
            "kept_shares": plain(KEPT),
            "mean_error_of_kept": plain(curves),
        },
        figures={
            "Mean error of the steps that are kept, the least uncertain first": lambda figure: _draw_kept(
                figure, curves
            ),
            "Rank correlation of uncertainty and error, by step": lambda figure: _draw_steps(figure, steps),
        },
    )


def _method(config: TrustConfig, episodes: int, futures: int, lacking: str | None) -> str:
    """lacking: why the model draws no view from above; None if it does."""
    views = (
        f", and, every {DRAW_EVERY} steps, with the share of pixels of the view from above that are wrong"
        if lacking is None
        else f" (the view from above is not applicable: {lacking})"
    )
    sampled = f"{config.samples} sampled futures" if config.samples else "the mode of the future"
    return (
        f"For every window of {episodes} recorded episodes ({futures} futures of {config.horizon} "
        f"steps, {sampled}, under the recorded actions), the model's uncertainty is compared at every step with "
        f"how far the imagined ego is from the true one{views}. "
        "Rank correlation is Spearman's; AUROC is the chance that a step with an error "
        "above the bound has the higher uncertainty. Both grow with time, which alone makes them agree: so each is "
        "also given within a step, among windows equally long after their contexts, averaged over the steps. "
        "Baselines: how long ago the context was, and how fast the imagined ego drives. In brackets 95% intervals "
        f"over episodes, {config.replicates} bootstrap replicates."
    )


def _known(futures: UncertainFutures, *values: np.ndarray) -> np.ndarray:
    return futures.valid & np.isfinite(np.stack(values)).all(0)


def _ranks(
    weights: np.ndarray, score: np.ndarray, error: np.ndarray, futures: UncertainFutures, bounds: tuple[float, ...]
) -> dict[str, Estimate]:
    known = _known(futures, score, error)
    found = {}
    metric: Metric
    for bound in (None, *bounds):
        if bound is None:
            name, metric, y = "rank correlation", weighted_spearman, error
            importance = known.sum(0)
        else:
            name, metric, y = f"AUROC, error > {bound:g}", auroc, error > bound
            # In pairs that are compared: else the few errors of the first steps would count as much as all others.
            importance = (known & y).sum(0) * (known & ~y).sum(0)
        within = over_steps(by_step(metric, weights, score, y, known), importance)
        found[name] = Estimate.of(over_all(metric, weights, score, y, known))
        found[f"{name}, within a step"] = Estimate.of(within)
    return found


def _cuts(
    weights: np.ndarray, futures: UncertainFutures, errors: dict[str, np.ndarray], bound: float
) -> dict[str, dict[str, Any]]:
    """What truncation at a bound does: from the first step above it on, an episode is over."""
    highest = np.maximum.accumulate(futures.uncertainty, 1)
    bounds = {"of the checkpoint": bound}
    bounds.update({f"{q:.0%} quantile": float(np.quantile(futures.uncertainty[futures.valid], q)) for q in QUANTILES})
    found: dict[str, dict[str, Any]] = {}
    for name, value in bounds.items():
        valid, cut = futures.valid, futures.valid & (highest > value)
        above = valid & (futures.uncertainty > value)

        def share(of: np.ndarray) -> Estimate:
            return Estimate.of(ratio(weights @ of.sum(1), weights @ futures.valid.sum(1)))

        found[name] = {
            "bound": value,
            "steps above": share(above),
            "steps cut": share(cut),
            "futures cut": Estimate.of(ratio(weights @ cut.any(1), weights.sum(1))),
        }
        for error, values in errors.items():
            known = _known(futures, values)
            filled = np.where(known, values, 0.0)
            at_step = ratio(weights @ filled, weights @ known)
            times = weights @ (known & cut)
            found[name][error] = {
                "kept": Estimate.of(ratio(weights @ (filled * ~cut).sum(1), weights @ (known & ~cut).sum(1))),
                "cut": Estimate.of(ratio(weights @ (filled * cut).sum(1), weights @ (known & cut).sum(1))),
                "all at the times of the cut": Estimate.of(ratio(np.nansum(times * at_step, 1), times.sum(1))),
            }
    return found


def _places(futures: UncertainFutures) -> dict[str, slice]:
    last = futures.valid.shape[1] // DRAW_EVERY * DRAW_EVERY
    return {"all steps": slice(None), f"step {last}": slice(last - 1, last)}


def _curves(
    scores: dict[str, np.ndarray], error: np.ndarray, futures: UncertainFutures, steps: slice
) -> dict[str, np.ndarray]:
    """Mean error of the shares `KEPT` of the steps, those with the lowest score first; and if errors were known."""
    # Among windows at one step, time tells nothing.
    names = (*SCORES[:3], BASELINES[0]) if steps == slice(None) else SCORES[:3]
    order_by = {name: scores[name] for name in names}
    known = _known(futures, error)[:, steps]
    kept = np.maximum((KEPT * known.sum()).round().astype(np.int64), 1)
    found = {}
    for name, score in {**order_by, _ORACLE: error}.items():
        if not known.any():
            found[name] = np.full(len(KEPT), np.nan)
            continue
        order = np.argsort(score[:, steps][known], kind="stable")
        found[name] = error[:, steps][known][order].cumsum(dtype=np.float64)[kept - 1] / kept
    return found


def _rank_table(error: str, ranks: dict[str, dict[str, Estimate]]) -> Table:
    columns = tuple(next(iter(ranks.values())))
    rows = tuple((name, *(text(found[column], 2) for column in columns)) for name, found in ranks.items())
    return Table(f"Error: {error}", ("score", *columns), rows)


def _cut_table(cuts: dict[str, dict[str, Any]]) -> Table:
    shares = ("steps above", "steps cut", "futures cut")
    means = ("kept", "cut", "all at the times of the cut")
    errors = [error for error in ERRORS if error in next(iter(cuts.values()))]
    head = ("bound", "value", *(f"{s} [%]" for s in shares), *(f"{error}: {m}" for error in errors for m in means))
    rows = []
    for name, found in cuts.items():
        row = [name, number(found["bound"], 4), *(text(found[s], 2, 100) for s in shares)]
        rows.append((*row, *(text(found[error][m], 3) for error in errors for m in means)))
    return Table(
        "What a bound on the uncertainty cuts, and the mean errors of what it keeps and cuts", head, tuple(rows)
    )


def _draw_kept(figure: Figure, curves: dict[str, dict[str, dict[str, np.ndarray]]]) -> None:
    figure.set_size_inches(10, 7)
    axes = figure.subplots(len(curves), 2, sharex=True, squeeze=False)
    names = (*SCORES[:3], BASELINES[0], _ORACLE)
    colours = dict(zip(names, ("#0072b2", "#56b4e9", "#009e73", "#8a8a8a", "#000000")))
    for row, (error, places) in zip(axes, curves.items()):
        for axis, (place, lines) in zip(row, places.items()):
            for name, values in lines.items():
                axis.plot(100 * KEPT, values, ".-", color=colours[name], label=name)
            axis.set(title=f"{error}, {place}", ylim=(0, None))
            axis.grid(alpha=0.3)
    for axis in axes[-1]:
        axis.set_xlabel("kept [%]")
    axes[0, 0].legend(fontsize=8)


def _draw_steps(figure: Figure, steps: dict[str, Estimate]) -> None:
    axis = figure.subplots()
    for colour, marker, (error, estimate) in zip(("#0072b2", "#e69f00"), ("-", "o"), steps.items()):
        t = np.flatnonzero(np.isfinite(estimate.value))
        axis.plot(t + 1, estimate.value[t], marker, color=colour, label=error)
        axis.vlines(t + 1, estimate.low[t], estimate.high[t], color=colour, alpha=0.3)
    axis.axhline(0, color="#999999", linewidth=1)
    axis.set(xlabel="steps after the context", ylabel="rank correlation", ylim=(-1, 1))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
