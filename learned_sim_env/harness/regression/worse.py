"""Film strips of what became worse from one run to another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from learned_sim_env.harness.engine.dream import DreamRunner
from learned_sim_env.harness.engine.job import DriveResult, Job
from learned_sim_env.harness.engine.strips import strips
from learned_sim_env.harness.engine.suite import SuiteScenario
from learned_sim_env.harness.regression.metrics import METRICS
from learned_sim_env.harness.regression.regression_page import kinds_of_change
from learned_sim_env.harness.regression.run import Run
from learned_sim_env.harness.regression.store import load_drive
from learned_sim_env.harness.regression.verdict import Verdict


def worse_pictures(
    verdict: Verdict, runs: tuple[Run, Run], folders: tuple[Path, Path], runner: DreamRunner
) -> dict[str, np.ndarray]:
    """By caption, strips of the baseline (above) and of the run (below).

    Args:
        verdict: of the run.
        runs: the baseline, then the run. folders: where they and their drives are kept.
        runner: of the dream that both dreamt in: it dreams again, as the driver's actions then say.
    """
    pictures, known = {}, {s.name: s for s in runs[1].scenarios}
    shown = kinds_of_change(verdict)
    pairs = [[load_drive(folder, run, world, name) for run, folder in zip(runs, folders)] for world, name, _ in shown]
    _dream_again([(d, known[name]) for pair, (_, name, _) in zip(pairs, shown) for d in pair if d is not None], runner)
    for (world, name, metric), pair in zip(shown, pairs):
        views = [d.views for d in pair if d is not None and d.views is not None]
        if views:
            ends = ", ".join("-" if d is None else d.end.replace("_", " ") or "horizon" for d in pair)
            caption = f"{world}, {name}: {METRICS[metric].title} ({ends})"
            pictures[caption] = strips(views, known[name].horizon)
    return pictures


def _dream_again(drives: Sequence[tuple[DriveResult, SuiteScenario]], runner: DreamRunner) -> None:
    """Give drives of a dream their views: the same actions, from the same start, with the same chance."""
    blind = [(drive, scenario) for drive, scenario in drives if drive.views is None and len(drive)]
    jobs = [
        Job(s.name, s.start, s.seed, len(drive), (), tuple((float(a), float(b)) for a, b in drive.actions))
        for drive, s in blind
    ]
    for (drive, _), again in zip(blind, runner.run(jobs, views=True)):
        drive.views = again.views
