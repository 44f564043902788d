"""The same jobs in the twin: each a drive in the simulator from the very moment that the dream starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.data.store import key_of, write_npz
from learned_sim_env.data.workers import Task, run_seeds
from learned_sim_env.drivers.catalogue import identity, open_driver
from learned_sim_env.drivers.driver import observed_by
from learned_sim_env.drivers.gaps import gaps_ahead
from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.harness.engine.job import CRASHES, STEPS, DriveResult, Job, pack, unpack
from learned_sim_env.harness.engine.pilot import Pilot
from learned_sim_env.simulators import installed_version
from learned_sim_env.spec import CONTRACTS, COST_TERMS, REWARD_TERMS
from learned_sim_env.twins.approach import bring_to_context
from learned_sim_env.twins.pairing import open_twin, twin_settings
from learned_sim_env.version import __version__
from learned_sim_env.world_model.contexts import Contexts


@dataclass(frozen=True)
class TwinRunner:
    """Drives jobs in the twin of an environment; called in a worker process, it gives the task that does.

    A driver is shown what it needs of all that the twin shows. Views that are kept are those from above.

    env_id: whose twin. bank: where jobs start. driver: name, see `drivers.catalogue`. folder: where drives are kept.
    simulator: another one than the declared twin. settings: of the simulator.
    """

    env_id: str
    bank: Contexts
    driver: str
    folder: Path
    jobs: tuple[Job, ...] = ()
    identity: str = ""
    simulator: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def run(
        self, jobs: Sequence[Job], workers: int = 2, done: Callable[[int], object] | None = None
    ) -> list[DriveResult]:
        """The drives of all jobs, with their views; one that fails, or whose start the twin cannot be brought to, says
        so.

        Args:
            jobs: whose perturbations must all be possible in a simulator, unless their actions are given.
            workers: simulator processes.
            done: called with how many more are driven.

        Raises:
            ValueError, OSError, ImportError: see `prepared`.
            RuntimeError: if simulators cannot start or keep failing.
        """
        runner, todo = self.prepared(jobs)
        errors: dict[int, str] = {}
        if done is not None:
            done(len(jobs) - len(todo))
        with closing(run_seeds(runner, todo, workers)) as results:
            for result in results:
                if result.failure:
                    errors[result.seed] = result.failure.reason
                if done is not None:
                    done(1)
        return [DriveResult.failed(errors[i]) if i in errors else runner.kept(i) for i in range(len(jobs))]

    def prepared(self, jobs: Sequence[Job]) -> tuple[TwinRunner, list[int]]:
        """The runner of jobs, and which of them are still to be driven. What cannot be is said here, in one process.

        Raises:
            ValueError: for a perturbation that is none of a simulator.
            ValueError, OSError, ImportError: if there is a drive to be driven and the twin cannot be opened.
        """
        for job in jobs:
            for p in job.perturbations:
                if not p.in_simulator and job.actions is None:
                    raise ValueError(f"{p.name} cannot be done to a simulator: give the actions to be replayed there")
        runner = replace(self, jobs=tuple(jobs), identity=identity(self.driver))
        todo = [i for i in range(len(jobs)) if not runner.file(i).exists()]
        if todo:
            self._open().close()
        return runner, todo

    def __call__(self) -> Task:
        twin = self._open()

        def task(index: int) -> int:
            drive = self.drive(twin, self.jobs[index])
            write_npz(self.file(index), pack([drive]))
            return len(drive)

        return task

    def _open(self) -> TwinDrivingEnv:
        return open_twin(self.env_id, self.simulator, **self.settings)

    def kept(self, index: int) -> DriveResult:
        """The drive of job `index`, which is there."""
        with np.load(self.file(index), allow_pickle=False) as file:
            return unpack(dict(file))[0]

    def file(self, index: int) -> Path:
        """Where the drive of job `index` is kept: named after all that it depends on."""
        job = self.jobs[index]
        start = job.place(self.bank)
        settings = twin_settings(self.env_id, self.simulator, **self.settings)
        contract, version = (
            str(CONTRACTS[settings["contract"]].fingerprints()),
            installed_version(settings["simulator"]),
        )
        about: list[Any] = [__version__, settings, contract, version]
        about += ["" if job.actions else self.identity, job.horizon, job.actions, job.seed]
        about += [[p.to_dict() for p in job.perturbations], int(self.bank.scenarios[start])]
        # What is seen last, because a twin that comes to another moment fails.
        key = key_of(about, [self.bank.replay_actions(start), *(v[start, -1] for v in self.bank.observations.values())])
        return self.folder / f"{key}.npz"

    def drive(self, twin: TwinDrivingEnv, job: Job) -> DriveResult:
        """Drive one job in an open twin.

        Raises:
            ValueError: if the twin does not come to the moment where the job starts, or fails on the way.
        """
        place, look = job.place(self.bank), job.appearance(self.bank)
        agreement = bring_to_context(twin, self.bank, place, {} if look is None else {"appearance": look})
        if not agreement.identical:
            raise ValueError(f"the twin does not come to exactly the recorded moment: {agreement}")
        views, columns = [twin.semantic.copy()], dict[str, list[np.ndarray]]({name: [] for name in STEPS})
        driver, end, over = open_driver(self.driver, [job.seed]), "", False
        names = tuple(dict.fromkeys(("ego", *observed_by(driver))))
        pilot = Pilot(driver, [job])
        scenario = int(self.bank.scenarios[place])
        changes = [change for p in job.perturbations if (change := p.later_appearance(scenario)) is not None]
        while len(columns["ego"]) < job.horizon and not end and not over:
            for begin, other in changes:
                if begin == len(columns["ego"]):
                    twin.set_appearance(other)
            action = pilot({name: seen[None] for name, seen in twin.observed(names).items()})[0]
            *_, info = twin.step(action)
            end = str(info["end_reason"])
            if end == "simulator_error":
                raise ValueError("the simulator failed on the way")
            # A recording is over: nothing that the driver did.
            over, end = end == "time_limit", end.replace("time_limit", "")
            views.append(twin.semantic.copy())
            step = (
                twin.ego_vector,
                info["ego_motion"],
                action,
                [info["reward_terms"][name] for name in REWARD_TERMS],
                [info["cost_terms"][name] for name in COST_TERMS],
                0.0,
                float(end in CRASHES),
                gaps_ahead(views[-1][None])[0],
            )
            for name, value in zip(STEPS, step):
                columns[name].append(np.array(value, STEPS[name][1]))
        steps = {name: np.stack(values) for name, values in columns.items()}
        return DriveResult.of(steps, end, views=np.stack(views))
