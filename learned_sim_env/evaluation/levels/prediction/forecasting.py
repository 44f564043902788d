"""Whether ends and costs are foreseen, half a second to two seconds ahead, and whether forecasts mean what they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.evaluation.levels.prediction.futures import PredictedFutures
from learned_sim_env.evaluation.levels.prediction.straight_on import urgency
from learned_sim_env.measures.bootstrap import Estimate, ratio
from learned_sim_env.measures.events import (
    BINS,
    auroc,
    calibration_error,
    happened_within,
    probability_within,
)
from learned_sim_env.reporting.display import STYLES, at, number, plain, text
from learned_sim_env.reporting.parts import Part, Table
from learned_sim_env.spec import COST_TERMS, TERMINATIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# [s] How far ahead, and what: any of these events.
AHEAD = (0.5, 1.0, 2.0)
_FORECASTS = {"terminal": TERMINATIONS, "cost": COST_TERMS}


def skill(weights: np.ndarray, probabilities: np.ndarray, happened: np.ndarray) -> np.ndarray:
    """Brier skill score: by how much the squared error is below that of always forecasting the frequency.

    It cannot show whether a low score comes from the order or from the size of forecasts, and for rare events it is
    near 0 even for useful ones. Arguments and result as of `events.auroc`; 1 is best, 0 as good as the frequency.
    """
    error = ratio(weights @ (probabilities - happened) ** 2, weights.sum(1))
    frequency = ratio(weights @ happened, weights.sum(1))
    return 1 - ratio(error, frequency * (1 - frequency))


def reliability(weights: np.ndarray, probabilities: np.ndarray, happened: np.ndarray) -> dict[str, Any]:
    """What a reliability plot shows, by `BINS` equally wide bins of probability.

    Returns:
        count: (BINS,) moments in each. predicted: (BINS,) their mean forecast, NaN of empty bins. observed: an
        `Estimate` (BINS,) of how often it happened.
    """
    member = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)[:, None] == np.arange(BINS)
    return {
        "count": member.sum(0),
        "predicted": ratio(probabilities @ member, member.sum(0)),
        "observed": Estimate.of(ratio(weights @ (member * happened[:, None]), weights @ member)),
    }


def forecasts_part(parts: Sequence[PredictedFutures], weigh: Callable[[np.ndarray], np.ndarray], dt: float) -> Part:
    """Forecasts from the futures of regular windows (the first of `parts`) and of those added before ends.

    The added ones help to judge the order of forecasts. They are no fair sample, so frequencies are judged without.
    weigh: gives the weights (R, N) of episodes (N,), see `bootstrap.resample`.
    """
    fair = np.concatenate([np.full(len(part), part is parts[0]) for part in parts])
    weights = weigh(np.concatenate([part.episode for part in parts]))
    found: dict[str, dict[float, dict[str, Any]]] = {name: {} for name in _FORECASTS}
    for name, names in _FORECASTS.items():
        for seconds in AHEAD:
            found[name][seconds] = _forecast(parts, names, round(seconds / dt), weights, fair)
    rows = tuple(
        (
            name,
            f"{seconds:g} s",
            f"{f['positives']} of {f['moments']}",
            text(f["auroc"], 3),
            text(f["auroc_straight_on"], 3),
            f"{f['fair_positives']} of {f['fair_moments']}",
            text(f["calibration_error"], 4),
            text(f["brier_skill"], 3),
        )
        for name, by in found.items()
        for seconds, f in by.items()
    )
    head = (
        "event",
        "within",
        "positives",
        "AUROC, model",
        "AUROC, straight on",
        "fair positives",
        "calibration error",
        "Brier skill",
    )
    return Part(
        name="forecasts",
        title="L1: does it see the end coming?",
        method=(
            "A forecast is the probability that any terminating event (or any cost) happens within half a second, one "
            "and two seconds of the context, from the events' probabilities of the imagined steps, under the recorded "
            "actions. AUROC uses the regular windows and all windows shortly before an end; calibration and skill use "
            "the regular ones alone, which are a fair sample. Baseline: how soon the ego would be off the road or "
            "touch something, if it kept its motion and everything else stood still (0.5 is chance). Brier skill is "
            "relative to always forecasting the frequency."
        ),
        limits=(
            "The recorded actions are given, and may give the end away. AUROC shows the order of forecasts alone and "
            "hides false alarms where events are rare; calibration can be perfect without telling moments apart, and "
            "its error is raised by small samples, resampled ones more so. Steps are combined as if independent. "
            "Arrival is among the terminating events, and the baseline does not know where the route ends."
        ),
        tables=(Table("Forecasts", head, rows),),
        values=plain({name: {f"{s:g} s": f for s, f in by.items()} for name, by in found.items()}),
        figures={"Reliability of forecasts": lambda figure: _draw(figure, found)},
    )


def _forecast(
    parts: Sequence[PredictedFutures], names: tuple[str, ...], steps: int, weights: np.ndarray, fair: np.ndarray
) -> dict[str, Any]:
    """How well it is foreseen that one of the events `names` happens within so many steps.

    weights: (R, N) of the moments of all parts. fair: (N,) bool, those of regular windows.
    """
    p = np.concatenate([probability_within(part.events, names, steps) for part in parts])
    simple = [urgency(part.blocked, steps) for part in parts if part.blocked is not None]
    judged = [happened_within(part.true_events, part.watched, names, steps) for part in parts]
    happened, known = (np.concatenate(x) for x in zip(*judged))
    some = known & fair
    return {
        "moments": int(known.sum()),
        "positives": int(happened[known].sum()),
        "auroc": Estimate.of(auroc(weights[:, known], p[known], happened[known])),
        # Where no view from above was recorded, it is not known.
        "auroc_straight_on": Estimate.of(
            auroc(weights[:, known], np.concatenate(simple)[known], happened[known])
            if simple
            else np.full(len(weights), np.nan)
        ),
        "fair_moments": int(some.sum()),
        "fair_positives": int(happened[some].sum()),
        "calibration_error": Estimate.of(calibration_error(weights[:, some], p[some], happened[some])),
        "brier_skill": Estimate.of(skill(weights[:, some], p[some], happened[some])),
        "reliability": reliability(weights[:, some], p[some], happened[some]),
    }


def _draw(figure: Figure, found: dict[str, dict[float, dict[str, Any]]]) -> None:
    figure.set_size_inches(10, 5.6)
    axes = figure.subplots(2, len(found), sharex=True, height_ratios=(3, 1))
    for column, (name, by) in enumerate(found.items()):
        upper, lower = axes[:, column]
        upper.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
        for k, ((seconds, f), style) in enumerate(zip(by.items(), (STYLES[0], STYLES[2], STYLES[3]))):
            r = f["reliability"]
            filled = r["count"] > 0
            x, y = r["predicted"][filled], at(r["observed"], filled)
            error = np.maximum(np.stack([y.value - y.low, y.high - y.value]), 0)
            upper.errorbar(x, y.value, error, color=style[0], marker="os^"[k], capsize=2, label=f"within {seconds:g} s")
            centres = (np.arange(BINS) + 0.25 * (k + 1)) / BINS
            lower.bar(centres, r["count"], width=0.22 / BINS, color=style[0])
        positives = ", ".join(number(f["fair_positives"], 0) for f in by.values())
        upper.set(title=f"{name} ({positives} positives)", ylim=(-0.02, 1.02), ylabel="how often it happened")
        lower.set(xlabel="forecast", ylabel="moments", yscale="log")
        upper.grid(alpha=0.3)
        upper.legend(fontsize=8)
