"""Film strips of what became worse from one run to another."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from learned_sim_env.harness.dream import DreamRunner
from learned_sim_env.harness.films import strips
from learned_sim_env.harness.job import Drive, Job
from learned_sim_env.harness.suite import Scenario
from learned_sim_env.regression.metrics import METRICS
from learned_sim_env.regression.report import kinds_of_change
from learned_sim_env.regression.run import Run
from learned_sim_env.regression.store import load_drive
from learned_sim_env.regression.verdict import Verdict


def worse_pictures(
    verdict: Verdict, runs: tuple[Run, Run], folders: tuple[Path, Path], runner: DreamRunner
) -> dict[str, np.ndarray]:
    """By caption, strips of the baseline (above) and of the run (below).

    Args:
        verdict: of the run.
        runs: the baseline, then the run. folders: where they and their drives are kept.
        runner: of the dream that both dreamt in: it dreams again, as the driver's actions then say.
    """
    pictures = {}
    for world, name, metric in kinds_of_change(verdict):
        scenario = next(s for s in runs[1].scenarios if s.name == name)
        pair = [load_drive(folder, run, world, name) for run, folder in zip(runs, folders)]
        shown = [d if d is None or d.views is not None else _again(d, scenario, runner) for d in pair]
        known = [d.views for d in shown if d is not None and d.views is not None]
        if known:
            ends = ", ".join("-" if d is None else d.end.replace("_", " ") or "horizon" for d in pair)
            caption = f"{world}, {name}: {METRICS[metric].title} ({ends})"
            pictures[caption] = strips(known, scenario.horizon)
    return pictures


def _again(drive: Drive, scenario: Scenario, runner: DreamRunner) -> Drive:
    """A drive of the dream with its views: the same actions, from the same start, with the same chance."""
    actions = tuple((float(a), float(b)) for a, b in drive.actions)
    return runner.run([Job(scenario.name, scenario.start, scenario.seed, len(drive), (), actions)], views=True)[0]
