"""The worker pool with tasks that crash, raise or hang; the tasks are real processes, only what they do is small."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from learned_sim_env.data.engines import Engine
from learned_sim_env.data.workers import MAX_FAILURES_IN_A_ROW, Result, Task, run_seeds
from learned_sim_env.failures import MENDABLE, WorkerError
from learned_sim_env.files import DiskFull


@dataclass(frozen=True)
class Trouble:
    """Task that misbehaves for some seeds; those in `once` only at their first attempt, remembered in `folder`."""

    folder: Path
    killed: tuple[int, ...] = ()
    raises: tuple[int, ...] = ()
    hangs: tuple[int, ...] = ()
    full: tuple[int, ...] = ()
    defects: tuple[int, ...] = ()
    once: tuple[int, ...] = ()
    starts: bool = True

    def __call__(self) -> Task:
        if not self.starts:
            raise ImportError("no simulator here")
        return self.task

    def task(self, seed: int) -> int:
        mark = self.folder / str(seed)
        seen = mark.exists()
        mark.touch()
        if seed not in self.once or not seen:
            if seed in self.killed:
                os.kill(os.getpid(), signal.SIGKILL)
            if seed in self.raises:
                raise ValueError(f"seed {seed} is bad")
            if seed in self.defects:
                raise KeyError(seed)
            if seed in self.full:
                raise DiskFull("there is no space")
            if seed in self.hangs:
                time.sleep(60)
        return seed * 10


def outcomes(results: list[Result]) -> dict[int, int]:
    return {result.seed: result.steps for result in results if not result.failure}


def test_every_seed_is_run_once(tmp_path: Path) -> None:
    results = list(run_seeds(Trouble(tmp_path), range(7), workers=2))
    assert len(results) == 7
    assert outcomes(results) == {seed: seed * 10 for seed in range(7)}


def test_death_and_error_cost_their_seed_only(tmp_path: Path) -> None:
    results = list(run_seeds(Trouble(tmp_path, killed=(1,), raises=(3,)), range(5), workers=2))
    assert outcomes(results) == {0: 0, 2: 20, 4: 40}
    errors = {result.seed: result.failure.reason for result in results if result.failure}
    assert "exit code -9" in errors[1]
    assert errors[3] == "seed 3 is bad"


def test_a_seed_is_tried_again(tmp_path: Path) -> None:
    trouble = Trouble(tmp_path, killed=(0,), raises=(1,), once=(0, 1))
    results = list(run_seeds(trouble, range(3), workers=1))
    assert outcomes(results) == {0: 0, 1: 10, 2: 20}
    assert len(results) == 3


def test_a_hanging_worker_is_ended(tmp_path: Path) -> None:
    trouble = Trouble(tmp_path, hangs=(0,), once=(0,))
    assert outcomes(list(run_seeds(trouble, range(2), workers=1, timeout=5.0))) == {0: 0, 1: 10}


def test_a_full_disk_ends_it_at_once(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match="there is no space"):
        list(run_seeds(Trouble(tmp_path, full=(1,)), range(100), workers=1))
    assert not (tmp_path / "2").exists()


def test_a_worker_that_cannot_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"^a worker process could not start: no simulator here$"):
        list(run_seeds(Trouble(tmp_path, starts=False), range(2), workers=1))


def test_failing_all_the_time_is_an_error(tmp_path: Path) -> None:
    seeds = range(MAX_FAILURES_IN_A_ROW + 2)
    with pytest.raises(WorkerError, match=r"in a row, the last of them number \d: seed \d is bad$"):
        list(run_seeds(Trouble(tmp_path, raises=tuple(seeds)), seeds, workers=2))


def test_a_defect_keeps_its_traceback(tmp_path: Path) -> None:
    seeds = range(MAX_FAILURES_IN_A_ROW)
    with pytest.raises(RuntimeError, match=r"in a row(.|\n)*in task\n(.|\n)*KeyError: 0") as raised:
        list(run_seeds(Trouble(tmp_path, defects=(0,)), [0] * len(seeds), workers=1))
    assert not isinstance(raised.value, MENDABLE)


def test_leaving_early_ends_the_workers(tmp_path: Path) -> None:
    results = run_seeds(Trouble(tmp_path, hangs=(1,)), range(2), workers=2)
    assert next(results).seed == 0
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 10.0


def test_no_workers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="workers is 0"):
        next(run_seeds(Trouble(tmp_path), range(2), workers=0))


def test_engines(tmp_path: Path) -> None:
    assert outcomes(list(Engine().run_seeds(Trouble(tmp_path), range(2), 1))) == {0: 0, 1: 10}
    with pytest.raises(ValueError, match="Did you mean 'ray'"):
        Engine("rai")
    with pytest.raises(ValueError, match="needs --engine ray"):
        Engine(address="auto")
