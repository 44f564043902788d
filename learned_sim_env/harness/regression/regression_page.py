"""A run, and what became worse in it, as parts of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from learned_sim_env.harness.regression.metrics import METRICS
from learned_sim_env.harness.regression.run import Run, means
from learned_sim_env.harness.regression.verdict import Verdict
from learned_sim_env.reporting.display import STYLES, number, plain, text
from learned_sim_env.reporting.parts import Part, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def verdict_part(verdict: Verdict) -> Part:
    """What regressed, and what did not."""
    rows = tuple(
        (
            c.world,
            METRICS[c.metric].title,
            number(c.baseline, METRICS[c.metric].digits),
            number(c.now, METRICS[c.metric].digits),
            text(c.worse, METRICS[c.metric].digits),
            f"{c.limit:g}",
            "worse" if c.regressed else "ok",
        )
        for c in verdict.changes
    )
    tables = [Table("Changes from the baseline", ("world", "metric", "before", "now", "worse by", "limit", ""), rows)]
    if verdict.reasons:
        tables.insert(0, Table("Why it did not pass", ("reason",), tuple((reason,) for reason in verdict.reasons)))
    return Part(
        name="verdict",
        title="Verdict: passed" if verdict.passed else "Verdict: not passed",
        method=(
            "Every scenario is compared with itself in the baseline, mean over its chances. A metric regressed if the "
            "mean difference is above its limit and its 95% interval, from resampling scenarios, excludes zero. "
            "A bound is kept by the mean itself."
        ),
        limits=(
            "The interval says what other scenarios of the same kinds might have given; rare kinds have few, and a "
            "regression in one kind alone can hide in the mean: the coverage below shows kinds. In the dream, a "
            "verdict is as good as the dream; where there is a twin, believe the twin."
        ),
        tables=tuple(tables),
        values=verdict.to_dict(),
    )


def summary_part(run: Run) -> Part:
    """All metrics of all worlds."""
    summaries = {world: run.summary(world) for world in run.worlds}
    rows = tuple(
        (metric.title, *(text(found[name], metric.digits) for found in summaries.values()))
        for name, metric in METRICS.items()
    )
    counts = {name: world.values["success"].size for name, world in run.worlds.items()}
    return Part(
        name="summary",
        title="How it drives",
        method=(
            f"{len(run.scenarios)} scenarios, drives: {', '.join(f'{n} in the {w}' for w, n in counts.items())}. "
            "Means over scenarios and chances, 95% intervals by resampling scenarios. ADE and FDE are to the recorded "
            "drive from the same start, as far as both went; time to collision is to the next "
            "obstacle straight ahead in the view."
        ),
        limits=(
            "A recorded drive is one of many good ones, and some of those recorded were bad on purpose: a large ADE is "
            "no fault by itself. Time to collision ignores everything beside the lane or in a bend."
        ),
        tables=(Table("Metrics", ("metric", *run.worlds), rows),),
        values={world: plain(found) for world, found in summaries.items()},
    )


def coverage_part(run: Run) -> Part:
    """Which kinds of scenes are handled."""
    coverage = {world: run.coverage(world) for world in run.worlds}
    kinds = sorted({tag for s in run.scenarios for tag in s.tags})
    rows = []
    for kind in kinds:
        count = sum(kind in s.tags for s in run.scenarios)
        found = [run.summary(world, kind) for world in run.worlds]
        rows.append(
            (kind.replace("_", " "), str(count), *(text(f[m], 2) for f in found for m in ("success", "collision")))
        )
    handled = ", ".join(f"{100 * c['handled']:.0f}% in the {world}" for world, c in coverage.items())

    def draw(figure: Figure) -> None:
        figure.set_size_inches(10, 0.32 * len(kinds) + 1.2)
        axis = figure.subplots()
        for k, (world, (colour, _)) in enumerate(zip(run.worlds, STYLES)):
            for row, kind in enumerate(kinds):
                e = run.summary(world, kind)["success"]
                y = row + 0.18 * (2 * k - len(run.worlds) + 1)
                axis.plot([e.low, e.high], [y, y], color=colour)
                axis.plot([e.value], [y], marker="os"[k % 2], color=colour, label=world if row == 0 else None)
        axis.set(xlim=(-0.02, 1.02), yticks=range(len(kinds)), yticklabels=[k.replace("_", " ") for k in kinds])
        axis.set_xlabel("share of drives that went as expected")
        axis.invert_yaxis()
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)

    head = ("kind", "scenarios", *(f"{m}, {world}" for world in run.worlds for m in ("success", "collisions")))
    return Part(
        name="coverage",
        title="Which kinds of scenes it handles",
        method=f"A scenario counts for all its kinds. A kind is handled if 9 in 10 drives go as expected: {handled}.",
        limits="Kinds were told from recordings by rules; the ends of the intervals of small groups are rough.",
        tables=(Table("By kind", head, tuple(rows)),),
        values=coverage,
        figures={"Success by kind": draw},
    )


def agreement_part(run: Run) -> Part | None:
    """Whether dream and twin say the same of the same scenario; None without both."""
    if not {"dream", "twin"} <= set(run.worlds):
        return None
    rows, values = [], {}
    for metric in ("success", "collision", "violation"):
        dream, twin = (means(run.worlds[w].values[metric]) for w in ("dream", "twin"))
        known = np.isfinite(dream) & np.isfinite(twin)
        said, true = dream[known] >= 0.5, twin[known] >= 0.5
        counts = [int((a & b).sum()) for a, b in ((said, true), (said, ~true), (~said, true), (~said, ~true))]
        share = float((said == true).mean()) if len(said) else np.nan
        rows.append((METRICS[metric].title, *map(str, counts), number(share, 3)))
        values[metric] = {"both": counts[0], "dream_only": counts[1], "twin_only": counts[2], "neither": counts[3]}
    return Part(
        name="agreement",
        title="Does the twin say the same?",
        method="Scenario by scenario, what most chances of the dream say beside what the twin says.",
        limits="In the dream others follow other chances than in the twin: single scenarios may well differ.",
        tables=(
            Table(
                "Agreement",
                ("", "in both", "in the dream only", "in the twin only", "in neither", "agree"),
                tuple(rows),
            ),
        ),
        values=values,
    )


def kinds_of_change(verdict: Verdict) -> list[tuple[str, str, str]]:
    """(world, scenario, metric) to be shown, two of each regressed metric, no scenario of a world twice."""
    found: list[tuple[str, str, str]] = []
    for change in verdict.changes:
        if change.regressed:
            fresh = [s for s in change.scenarios if not any(f[:2] == (change.world, s) for f in found)]
            found += [(change.world, s, change.metric) for s in fresh[:2]]
    return found[:8]


def worse_part(pictures: dict[str, np.ndarray]) -> Part:
    """Film strips of what became worse."""
    return Part(
        name="worse",
        title="What became worse, to look at",
        method=(
            "The scenarios that contribute most to each regression: the baseline above, the run below, from the common "
            "start on, a picture a second, black after the end."
        ),
        limits="Chosen because they are the worst: they illustrate a regression and say nothing of how common it is.",
        tables=(),
        values={"shown": list(pictures)},
        pictures=pictures,
    )
