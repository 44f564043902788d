"""Whether what crashes in the dream crashes in the twin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from learned_sim_env.harness.engine.job import DriveResult, Job
from learned_sim_env.harness.engine.twin import TwinRunner

# How a crash was looked for in the twin. "driven": the policy drove there too, perturbed alike. "replayed": the actions
# of the dream were taken, since what was perturbed is not in a simulator. "-": the start is no moment of the twin.
DRIVEN, REPLAYED, NONE = "driven", "replayed", "-"
# [steps] For which the last action of a replay is held: a crash may come a little later there.
AFTER = 10


@dataclass(frozen=True, eq=False)
class Confirmation:
    """of: the case. how: see above. crashed: in the twin, None where it is not known. anyway: whether the policy
    crashes there without any perturbation as well.
    """

    how: str
    crashed: bool | None = None
    anyway: bool | None = None

    @property
    def confirmed(self) -> bool:
        """Whether the twin crashes, and would not have anyway."""
        return bool(self.crashed) and not self.anyway


def how(job: Job) -> str:
    """How a crash of a job can be looked for in the twin."""
    if not all(p.real_start for p in job.perturbations):
        return NONE
    return DRIVEN if all(p.in_simulator for p in job.perturbations) else REPLAYED


def confirm(
    runner: TwinRunner,
    cases: Sequence[tuple[Job, DriveResult]],
    workers: int = 2,
    done: Callable[[int], object] | None = None,
) -> list[Confirmation]:
    """Look for every case in the twin, and drive each of its starts there undisturbed.

    Raises:
        ImportError: if what the twin needs is not installed.
    """
    known = [i for i, (job, _) in enumerate(cases) if how(job) != NONE]
    jobs = []
    for job, drive in (cases[i] for i in known):
        if how(job) == REPLAYED:
            taken = tuple((float(a), float(b)) for a, b in drive.actions)
            job = replace(job, actions=taken, horizon=len(taken) + AFTER)
        jobs.append(job)
    # A policy with chance of its own has the same one there.
    starts = [Job("undisturbed", job.place(runner.bank), job.seed, cases[i][0].horizon) for i, job in zip(known, jobs)]
    drives = runner.run([*jobs, *starts], workers, done)
    found = [Confirmation(NONE)] * len(cases)
    for n, i in enumerate(known):
        disturbed, undisturbed = drives[n], drives[len(jobs) + n]
        crashed = None if disturbed.error else disturbed.crashed
        found[i] = Confirmation(how(cases[i][0]), crashed, None if undisturbed.error else undisturbed.crashed)
    return found
