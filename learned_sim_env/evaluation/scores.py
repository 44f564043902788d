"""The result of an evaluation: numbers with intervals, as JSON and as a table to read."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from learned_sim_env.evaluation.open_loop import TRUE_MOTION
from learned_sim_env.measures.bootstrap import Estimate
from learned_sim_env.measures.events import WITHIN
from learned_sim_env.measures.iou import CLASSES
from learned_sim_env.reporting.display import at, number, plain, text
from learned_sim_env.reporting.parts import Table
from learned_sim_env.reporting.write import markdown

# Steps that the table shows, as far as the horizon goes; the JSON has all.
STEPS = (1, 5, 15, 30, 60)


@dataclass(frozen=True, eq=False)
class Forecast:
    """How well events within a second were foreseen.

    windows, positives: moments judged, and those followed by the event. auroc, calibration_error: see `events`.
    predicted, observed: mean probability and frequency, in the windows that are a fair sample.
    """

    windows: int
    positives: int
    auroc: Estimate
    predicted: float
    observed: float
    calibration_error: Estimate


@dataclass(frozen=True, eq=False)
class Report:
    """What was measured.

    about: model, data and settings, JSON-ready. iou: (T, len(CLASSES)) by method. ego: (T,) by method and metric, which
    are "ade", "fde" [m], "speed_error" [m/s] and "yaw_error" [rad]. reward: correlations by name. events: by name.
    Index k of T stands for k + 1 steps after the context.
    """

    about: dict[str, Any]
    iou: dict[str, Estimate]
    ego: dict[str, dict[str, Estimate]]
    reward: dict[str, Estimate]
    events: dict[str, Forecast]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; None stands for what the data cannot tell. Lists have an entry for each step."""
        return {
            "about": self.about,
            "iou": {
                method: {name: plain(_column(estimate, i)) for i, name in enumerate(CLASSES)}
                for method, estimate in self.iou.items()
            },
            "ego": {method: {k: plain(v) for k, v in metrics.items()} for method, metrics in self.ego.items()},
            "reward_correlation": {name: plain(estimate) for name, estimate in self.reward.items()},
            "events_within_1s": {
                name: {k: plain(v) for k, v in vars(forecast).items()} for name, forecast in self.events.items()
            },
        }

    def table(self) -> str:
        """The main numbers as Markdown."""
        a = self.about
        parts = [
            f"# Evaluation of {a['checkpoint']}\n\nModel {a['fingerprint'][:12]}, package {a['package_version']}, "
            f"{a['episodes']} episodes of {', '.join(a['simulators'])} (seeds {min(a['seeds'])} to {max(a['seeds'])}, "
            f"{a['steps']} steps), {a['windows']} windows, of which {a['windows_reaching_horizon']} reach "
            f"{a['horizon']} steps, and {a['ending_windows']} more before the end of episodes. "
            f"{'Mode' if not a['samples'] else str(a['samples']) + ' samples'} of the model. In brackets 95% intervals "
            f"over episodes, {a['replicates']} bootstrap replicates.",
            self._iou_table(),
            self._ego_table(),
            *(f"No episode has {name}: what is said of it cannot be measured." for name in a.get("not_recorded", ())),
            "## Reward: correlation with the true one, all steps\n\n"
            + _markdown(["term", "Pearson r"], [[name, text(e, 3)] for name, e in self.reward.items()]),
            "## Events within 1 s of the context\n\n"
            + _markdown(
                ["event", "moments", "positive", "AUROC", "predicted", "observed", "calibration error"],
                [
                    [
                        name,
                        str(f.windows),
                        str(f.positives),
                        text(f.auroc, 3),
                        number(f.predicted, 4),
                        number(f.observed, 4),
                        text(f.calibration_error, 4),
                    ]
                    for name, f in self.events.items()
                ],
            ),
        ]
        return "\n\n".join(parts) + "\n"

    def _iou_table(self) -> str:
        if not self.iou:
            return (
                "## IoU of the view\n\nNot applicable: the model draws no view from above, or the episodes have none."
            )
        steps = sorted({s for s in STEPS if s <= self.about["horizon"]} | {self.about["horizon"]})
        rows = [
            [name, method, *(text(_column(e, (s - 1, i)), 3) for s in steps)]
            for i, name in enumerate(CLASSES)
            for method, e in self.iou.items()
        ]
        head = (
            "## IoU of the view, by steps after the context\n\n"
            "The moved view and what drifts are given how the ego will truly move"
            + (f'; so is "{TRUE_MOTION}", the same model.\n\n' if TRUE_MOTION in self.iou else ".\n\n")
        )
        return head + _markdown(["class", "method", *(f"{s} step{'s' * (s > 1)}" for s in steps)], rows)

    def _ego_table(self) -> str:
        wanted = (("ADE", "ade", "m", 1.0), ("FDE", "fde", "m", 1.0), ("speed error", "speed_error", "m/s", 1.0))
        rows = []
        for label, name, unit, scale in (*wanted, ("yaw error", "yaw_error", "degrees", 180 / math.pi)):
            for step in (WITHIN, 3 * WITHIN):
                if step <= self.about["horizon"]:
                    cells = [text(_column(m[name], step - 1), 3, scale) for m in self.ego.values()]
                    rows.append([f"{label} at {step * self.about['dt']:.0f} s [{unit}]", *cells])
        return "## Ego motion\n\n" + _markdown(["error", *self.ego], rows)


def _column(estimate: Estimate, index: Any) -> Estimate:
    """Of the last axis, or at a whole index."""
    return at(estimate, index if isinstance(index, tuple) else (..., index))


def _markdown(head: list[str], rows: Iterable[list[str]]) -> str:
    return markdown(Table("", tuple(head), tuple(map(tuple, rows))))
