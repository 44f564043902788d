"""A pool of worker processes that survives the death of any of them.

Each worker is a spawned process with its own simulator (engines are singletons, and a native crash must not take the
collection with it). The parent hands out one seed at a time; a worker that dies, raises or hangs costs that seed only.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

from learned_sim_env.failures import Failure
from learned_sim_env.files import DiskFull
from learned_sim_env.interrupts import leave_to_parent

# A task records the episode of a seed and returns its number of steps; it is made inside the worker.
Task = Callable[[int], int]

ATTEMPTS = 2
# Of a worker: seed, steps, failure; without seed and failure it is ready to start.
_Message = tuple[int | None, int, Failure | DiskFull | None]
# So many failures in a row, with no episode between them, mean that something other than an episode is wrong.
MAX_FAILURES_IN_A_ROW = 8
NOT_STARTED = "a worker process could not start"


@dataclass(frozen=True)
class Result:
    """What became of a seed: its episode's number of steps, or the failure of the last of `ATTEMPTS` attempts."""

    seed: int
    steps: int
    failure: Failure | None = None


@dataclass
class _Worker:
    process: multiprocessing.process.BaseProcess
    connection: Connection
    ready: bool = False
    seed: int | None = None
    since: float = 0.0

    def take(self, seed: int) -> None:
        self.seed, self.since = seed, time.monotonic()
        # Should it have died while idle, reading the pipe says so next.
        with contextlib.suppress(OSError):
            self.connection.send(seed)

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


def run_seeds(
    make_task: Callable[[], Task], seeds: Iterable[int], workers: int, timeout: float = 300.0
) -> Generator[Result, None, None]:
    """Run the task for every seed on `workers` processes, and yield results as they come, in no particular order.

    make_task is called once in every worker and must be picklable. A seed that takes longer than `timeout` [s] counts
    as failed. Leaving the iterator early ends the workers.

    Raises:
        RuntimeError: when a task cannot be made, or after `MAX_FAILURES_IN_A_ROW`; a `WorkerError` if it can be mended.
        DiskFull: when a task raised it, since the others would fail as well.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}; at least 1 is needed")
    todo = deque(seeds)
    attempts: Counter[int] = Counter()
    pool: list[_Worker] = []
    in_a_row = 0
    try:
        while todo or any(worker.seed is not None for worker in pool):
            busy = sum(worker.seed is not None for worker in pool)
            while len(pool) < min(workers, busy + len(todo)):
                pool.append(_start(make_task))
            for worker in pool:
                if worker.ready and worker.seed is None and todo:
                    attempts[todo[0]] += 1
                    worker.take(todo.popleft())
            for worker, (seed, steps, failure) in _messages(pool, timeout):
                if isinstance(failure, DiskFull):
                    raise failure
                if failure is None:
                    worker.ready, worker.seed = True, None
                    if seed is not None:
                        in_a_row = 0
                        yield Result(seed, steps)
                    continue
                pool.remove(worker)
                worker.end()
                if not worker.ready:
                    raise failure.error(NOT_STARTED)
                if seed is None:
                    continue
                in_a_row += 1
                if in_a_row >= MAX_FAILURES_IN_A_ROW:
                    raise failure.error(failing(in_a_row, seed))
                if attempts[seed] < ATTEMPTS:
                    todo.append(seed)
                else:
                    yield Result(seed, 0, failure)
    finally:
        for worker in pool:
            worker.end()


def failing(in_a_row: int, seed: int) -> str:
    """What is said after too many failures."""
    return f"{in_a_row} tasks failed in a row, the last of them number {seed}"


def _start(make_task: Callable[[], Task]) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, make_task), daemon=True)
    process.start()
    # Only the worker may hold its end: its death then reads as the end of the pipe.
    theirs.close()
    return _Worker(process, ours, since=time.monotonic())


def _messages(pool: list[_Worker], timeout: float) -> Iterator[tuple[_Worker, _Message]]:
    """What workers said, or what their silence means."""
    readable = wait([worker.connection for worker in pool], timeout=1.0)
    for worker in list(pool):
        if worker.connection in readable:
            try:
                yield worker, worker.connection.recv()
            except (EOFError, OSError):
                worker.process.join(timeout=5.0)
                said = f"its worker process died with exit code {worker.process.exitcode}"
                yield worker, (worker.seed, 0, Failure(said))
        elif (worker.seed is not None or not worker.ready) and time.monotonic() - worker.since > timeout:
            yield worker, (worker.seed, 0, Failure(f"its worker process was silent for more than {timeout:g} s"))


def _work(connection: Connection, make_task: Callable[[], Task]) -> None:
    """Body of a worker: says that it is ready, then answers every seed with (seed, steps, failure)."""
    leave_to_parent()
    seed: int | None = None
    try:
        task = make_task()
        connection.send((None, 0, None))
        while True:
            seed = connection.recv()
            connection.send((seed, task(seed), None))
    except (EOFError, BrokenPipeError):
        return  # The parent is gone.
    except DiskFull as error:
        connection.send((seed, 0, error))
    except BaseException as error:
        connection.send((seed, 0, Failure.of(error)))
