"""Which failures are kept as cases: for every strategy the weakest, and what the searches found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from learned_sim_env.harness.engine.dream import DreamRunner
from learned_sim_env.harness.engine.job import DriveResult, Job
from learned_sim_env.harness.stress.search import Found
from learned_sim_env.harness.stress.sweep import Sweep

# Other chances of the dream under which a case is tried again.
CHANCES = 8


@dataclass(frozen=True, eq=False)
class Case:
    """One failure. found_by: strategy or search. plausible: see `Sweep.plausible`."""

    found_by: str
    job: Job
    drive: DriveResult
    plausible: bool


def sweep_cases(found: Sweep, most: int) -> list[Case]:
    """At most `most` crashes of every strategy, plausible ones first, then weaker ones, each from another start."""
    cases = []
    for name in found.config.names:
        pool = []
        for strength in found.config.strengths:
            crashed, counts = found.attacked((name, strength))
            some = np.flatnonzero(crashed & counts)
            pool += [(found.jobs[name, strength][i], found.drives[name, strength][i]) for i in some]
        pool.sort(key=lambda pair: (not found.plausible(pair[1]), pair[0].size, pair[0].start, pair[0].seed))
        taken: set[int] = set()
        for job, drive in pool:
            if job.start not in taken and len(taken) < most:
                taken.add(job.start)
                cases.append(Case(name, job, drive, found.plausible(drive)))
    return cases


def search_cases(found: Mapping[str, Mapping[str, Sequence[Found]]], sweep: Sweep) -> list[Case]:
    """The smallest crash of all adaptive searches from a start, by start and space."""
    cases = []
    for space, by in found.items():
        for start in dict.fromkeys(f.start for f in by["adaptive"]):
            mine = [f for f in by["adaptive"] if f.start == start and f.job is not None and f.drive is not None]
            if mine:
                best = min(mine, key=lambda f: f.sizes[-1])
                assert best.job is not None and best.drive is not None
                cases.append(Case(f"{space}, adaptive", best.job, best.drive, sweep.plausible(best.drive)))
    return cases


def other_chances(runner: DreamRunner, cases: Sequence[Case]) -> list[float]:
    """Share of `CHANCES` other chances of the dream under which each case crashes as well."""
    jobs = [replace(case.job, seed=case.job.seed + 77_000 + k) for case in cases for k in range(CHANCES)]
    crashed = np.array([drive.crashed for drive in runner.run(jobs)], bool).reshape(len(cases), CHANCES)
    return [float(share) for share in crashed.mean(1)]
