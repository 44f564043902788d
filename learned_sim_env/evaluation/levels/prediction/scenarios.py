"""The same errors by kind of place: straight road, curve, roundabout, traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.evaluation.levels.prediction.accuracy import displacement
from learned_sim_env.evaluation.levels.prediction.futures import PredictedFutures
from learned_sim_env.evaluation.open_loop import CONSTANT_MOTION, MODEL
from learned_sim_env.measures import ego
from learned_sim_env.measures.bootstrap import Estimate
from learned_sim_env.measures.iou import CLASSES, iou
from learned_sim_env.reporting.display import at, plain, text
from learned_sim_env.reporting.parts import Part, Table
from learned_sim_env.spec import SCENARIO_TAGS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Steps after the context that are compared.
STEPS = (15, 30)
# Classes that are compared, and methods: the model beside the strongest of its baselines.
_SHOWN = ("drivable", "lines", "vehicles")
_VIEWED, _MOVED = (MODEL, "drifting boxes"), (MODEL, CONSTANT_MOTION)
_ALL = "all"


def scenarios_part(seen: PredictedFutures, weights: np.ndarray) -> Part:
    """IoU and FDE of the windows with each tag; weights: (R, N), see `bootstrap.resample`."""
    steps = [s - 1 for s in STEPS]
    masks = {_ALL: np.ones(len(seen), bool), **{tag: seen.tags[:, i] for i, tag in enumerate(SCENARIO_TAGS)}}
    viewed = tuple(name for name in _VIEWED if name in seen.views)
    found: dict[str, dict[str, Any]] = {}
    for tag, mask in masks.items():
        few, valid = weights[:, mask], seen.valid[mask][:, steps]
        found[tag] = {
            "windows": valid.sum(0),
            "iou": {name: Estimate.of(iou(few, seen.views[name][mask][:, steps])) for name in viewed},
            "fde": {
                name: Estimate.of(ego.mean_at(few, displacement(seen, name)[mask][:, steps], valid)) for name in _MOVED
            },
        }
    columns = [(i, step, list(CLASSES).index(name), name) for i, step in enumerate(STEPS) for name in _SHOWN]
    ious = tuple(
        (tag, str(f["windows"][-1]), method, *(text(at(f["iou"][method], (i, k)), 3) for i, _, k, _ in columns))
        for tag, f in found.items()
        for method in viewed
    )
    fdes = tuple(
        (tag, str(f["windows"][-1]), *(text(at(f["fde"][m], i), 2) for i in range(len(STEPS)) for m in _MOVED))
        for tag, f in found.items()
    )
    windows = f"windows at {STEPS[-1]} steps"
    head = ("scenario", windows, "method", *(f"{name}, {step} steps" for _, step, _, name in columns))
    return Part(
        name="scenarios",
        title="L1: where it errs",
        method=(
            "The futures of the part before, by the tags of the last moment of the context. A window has all the tags "
            "that fit, so the groups overlap. Intervals resample whole episodes."
        ),
        limits=(
            "Tags name what is near at the end of the context, not what the ego drives into later. Groups differ in "
            "more than their tag (speed, traffic, the driver), so a difference between them is not its effect. Small "
            "groups come from few episodes; their intervals then are too narrow, if anything."
        ),
        tables=(
            *((Table("IoU by scenario", head, ious),) if viewed else ()),
            Table(
                "FDE of the ego by scenario [m]",
                ("scenario", windows, *(f"{method}, {step} steps" for step in STEPS for method in _MOVED)),
                fdes,
            ),
        ),
        values={
            tag: {
                "windows": dict(zip(map(str, STEPS), plain(f["windows"]))),
                "iou": {
                    method: {
                        str(step): {c: plain(at(e, (i, k))) for k, c in enumerate(CLASSES)} for i, step in _steps()
                    }
                    for method, e in f["iou"].items()
                },
                "fde": {m: {str(step): plain(at(e, i)) for i, step in _steps()} for m, e in f["fde"].items()},
            }
            for tag, f in found.items()
        },
        figures={f"By scenario, {STEPS[-1]} steps ahead": lambda figure: _draw(figure, found)},
    )


def _steps() -> list[tuple[int, int]]:
    return list(enumerate(STEPS))


def _draw(figure: Figure, found: dict[str, dict[str, Any]]) -> None:
    figure.set_size_inches(11, 4.2)
    viewed = tuple(next(iter(found.values()))["iou"])
    axes = figure.subplots(1, 2 if viewed else 1, sharey=True, squeeze=False)[0]
    right = axes[-1]
    vehicles = list(CLASSES).index("vehicles")
    colours = ("#0072b2", "#8a8a8a")
    for row, name in enumerate(found):
        shown = [(axes[0], [at(found[name]["iou"][m], (-1, vehicles)) for m in viewed])] if viewed else []
        shown.append((right, [at(found[name]["fde"][m], -1) for m in _MOVED]))
        for axis, estimates in shown:
            for k, (estimate, colour) in enumerate(zip(estimates, colours)):
                y = row + 0.15 * (2 * k - 1)
                axis.plot([estimate.low, estimate.high], [y, y], color=colour)
                axis.plot([estimate.value], [y], marker="os"[k], color=colour)
    if viewed:
        axes[0].set(title="IoU of vehicles", xlim=(0, 1))
    right.set(title="FDE of the ego [m]", xlim=(0, None))
    axes[0].set(yticks=range(len(found)), yticklabels=list(found))
    axes[0].invert_yaxis()
    for axis, methods in ((axes[0], viewed), (right, _MOVED)) if viewed else ((right, _MOVED),):
        axis.grid(alpha=0.3)
        for k, (method, colour) in enumerate(zip(methods, colours)):
            axis.plot([], [], marker="os"[k], color=colour, label=method)
        axis.legend(fontsize=8)
