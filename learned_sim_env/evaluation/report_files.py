"""An evaluation on disk: as JSON, as a table, and as one picture of every metric by horizon beside the baselines."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.evaluation.scores import Report
from learned_sim_env.files import replacing, write_json, write_text
from learned_sim_env.measures.bootstrap import Estimate
from learned_sim_env.measures.iou import CLASSES
from learned_sim_env.optional import require
from learned_sim_env.reporting.display import STYLES, curve


def save(report: Report, folder: Path) -> list[Path]:
    """Write `report.json`, `table.md` and `figure.png` (needs matplotlib), each whole or not at all."""
    paths = [folder / name for name in ("report.json", "table.md", "figure.png")]
    write_json(paths[0], report.to_dict())
    write_text(paths[1], report.table())
    with replacing(paths[2]) as temporary:
        draw_figure(report, temporary)
    return paths


def draw_figure(report: Report, path: Path) -> None:
    """Write a PNG: IoU of each class, displacement and yaw error against the step, with 95% intervals as bands."""
    require("matplotlib", extra="train")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 4).ravel()
    for i, (axis, name) in enumerate(zip(axes, CLASSES)):
        for (method, estimate), style in zip(report.iou.items(), STYLES):
            _line(axis, estimate, (slice(None), i), method, style)
        axis.set(title=f"IoU: {name}", ylim=(0, 1))
    for (method, metrics), style in zip(report.ego.items(), STYLES):
        _line(axes[6], metrics["ade"], ..., f"ADE, {method}", style)
        _line(axes[6], metrics["fde"], ..., f"FDE, {method}", (style[0], "--" if style[1] == "-" else "-."))
        _line(axes[7], metrics["yaw_error"], ..., method, style, 180 / math.pi)
    axes[6].set(title="displacement [m]", ylim=(0, None))
    axes[7].set(title="yaw error [degrees]", ylim=(0, None))
    for axis in axes:
        axis.set_xlim(1, report.about["horizon"])
        axis.grid(alpha=0.3)
    for axis in axes[4:]:
        axis.set_xlabel(f"steps of {report.about['dt']:g} s after the context")
    for axis in (axes[0], axes[6]) if report.iou else (axes[6],):
        axis.legend(fontsize=8)
    figure.suptitle(f"{report.about['checkpoint']} on {report.about['episodes']} episodes")
    figure.savefig(path, dpi=100)


def _line(axis: Any, estimate: Estimate, index: Any, label: str, style: tuple[str, Any], scale: float = 1.0) -> None:
    shown = Estimate(*(scale * x[index] for x in (estimate.value, estimate.low, estimate.high)))
    curve(axis, np.arange(1, len(shown.value) + 1), shown, label, style)
