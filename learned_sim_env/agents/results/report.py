"""What a run has learned, and how fast, as one page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.agents.agent import agent_class
from learned_sim_env.agents.settings import METRICS
from learned_sim_env.benchmark.machine import Machine
from learned_sim_env.reinforcement.transfer_page import MEASURES, measured
from learned_sim_env.reporting.display import STYLES, number, plain, rate, text
from learned_sim_env.reporting.parts import Part, Table
from learned_sim_env.reporting.write import write_report

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def report(
    out: Path, progress: Mapping[str, Any], episodes: Mapping[str, list[Any]], more: Sequence[Part] = ()
) -> list[Path]:
    """Write `learn.html` and `learn.json` into the folder of a run.

    Args:
        out: that folder.
        progress: what `run.json` holds.
        episodes: see `judging.judged`.
        more: parts that stand behind.
    """
    curve = [json.loads(line) for line in (out / METRICS).read_text(encoding="utf-8").splitlines()]
    settings = progress["settings"]
    about = {"agent": settings["agent"], "checkpoint": settings["checkpoint"], "machine": str(Machine.look())}
    return write_report(
        out,
        "learn",
        f"{settings['agent']} in {settings['checkpoint']}",
        about,
        [part(progress, episodes, curve), *more],
    )


def part(progress: Mapping[str, Any], episodes: Mapping[str, list[Any]], curve: Sequence[Mapping[str, float]]) -> Part:
    """Policies on the way and in the end: what they took, and how they drive in the simulator."""
    saved, settings = progress["saved"], progress["settings"]
    kind = agent_class(settings["agent"])
    sources = [
        *(["recorded episodes"] if kind.needs_data else []),
        *(["dreams of the world model"] if "dream" in settings else []),
    ]
    made = (
        f"Learned from {' and '.join(sources)} alone"
        if kind.learns
        else "It learns nothing: in each update it drives a stretch of a dream, from a real moment"
    )
    effort = tuple(
        (
            entry["policy"],
            f"{entry['updates']:,}",
            f"{entry['steps']:,}",
            number(entry["seconds"] / 60, 1),
            number(entry["cpu_seconds"] / 60, 1),
            rate(entry["steps"], entry["seconds"]),
        )
        for entry in saved
    )
    head = ("policy", "updates", "steps", "minutes", "minutes of processor", "steps/s")
    means = _means(curve[-1:] if kind.learns else curve)
    tables = [
        Table("What it took", head, effort),
        Table(
            f"Means of {'the last updates that were logged' if kind.learns else 'all updates'}",
            tuple(means),
            (tuple(f"{value:.3g}" for value in means.values()),),
        ),
    ]
    found = {name: measured([driven]) for name, driven in episodes.items()}
    if found:
        rows = tuple(
            (name, str(len(episodes[name])), *(text(values[key], digits) for key, (_, digits) in MEASURES.items()))
            for name, values in found.items()
        )
        tables.append(
            Table(
                "Whole episodes in the simulator",
                ("policy", "episodes", *(title for title, _ in MEASURES.values())),
                rows,
            )
        )
    return Part(
        name="learning",
        title="What was learned" if kind.learns else "How it drives in the dream",
        method=(
            f"{made}. Every policy that was kept then drives the same whole episodes of the "
            "simulator, on validation scenarios, by features that the world model filters from what it is shown there. "
            "Intervals (95%) resample scenarios."
            if found
            else f"{made}; nothing was driven in the simulator (--judge asks for that)."
        ),
        limits="One run: how much luck there is in a run, others with other seeds would tell.",
        tables=tuple(tables),
        values={"settings": settings, "saved": list(saved), "means": plain(means), "driven": plain(found)},
        figures={"Means of an update's steps": lambda figure: _curves(figure, curve)},
    )


def _logged(curve: Sequence[Mapping[str, float]]) -> list[str]:
    """Names of what was logged of updates; some belong to a part of the run."""
    names = dict.fromkeys(name for row in curve for name in row)
    return [name for name in names if name not in ("update", "seconds", "cpu_seconds", "steps")]


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of what the last of `rows` tells, which are means of as many updates as lie between them."""
    updates = np.diff([row["update"] for row in rows], prepend=0)
    return {name: float(np.average([row[name] for row in rows], weights=updates)) for name in _logged(rows[-1:])}


def _curves(figure: Figure, curve: Sequence[Mapping[str, float]]) -> None:
    """All numbers that were logged, over minutes of wall-clock."""
    names = _logged(curve)
    panels = figure.subplots(-(-len(names) // 3), 3, sharex=True, squeeze=False).ravel()
    minutes = [row["seconds"] / 60 for row in curve]
    # A line through a single point is none.
    style = {"color": STYLES[0][0], "linewidth": 1.0, "marker": "." if len(curve) < 20 else ""}
    for panel, name in zip(panels, names):
        panel.plot(minutes, [row.get(name, float("nan")) for row in curve], **style)
        panel.set_title(name, fontsize=9)
    for panel in panels[len(names) :]:
        panel.set_axis_off()
    figure.supxlabel("minutes")
