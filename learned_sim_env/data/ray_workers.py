"""The worker pool on a Ray cluster: one actor for each worker, wherever there is a CPU for it.

An actor's task writes into a folder of the actor's own, and the files come back with its result. So machines need not
share a disk with this one, and what is written here are the same files as those of `workers.run_seeds`.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from learned_sim_env.data.workers import ATTEMPTS, MAX_FAILURES_IN_A_ROW, NOT_STARTED, Result, Task, failing
from learned_sim_env.failures import Failure, line_of
from learned_sim_env.files import DiskFull, replacing
from learned_sim_env.optional import require

# Times that a task is begun again because its actor died with it: with its node, or by its own fault.
DEATHS = 4
# A file below the folder of a task, by its path there, and its content.
File = tuple[str, bytes]
# Steps, files, failure.
_Answer = tuple[int, list[File], "Failure | DiskFull | None"]


class Actor:
    """Runs a task in a process somewhere, in a temporary folder."""

    def __init__(self, make_task: Any) -> None:
        self._kept = TemporaryDirectory()
        self._folder = Path(self._kept.name)
        self._make = replace(make_task, folder=self._folder)
        self._task: Task | None = None

    def ready(self) -> _Answer:
        """Make the task."""
        try:
            self._task = self._make()
        except BaseException as error:
            return 0, [], Failure.of(error)
        return 0, [], None

    def run(self, seed: int) -> _Answer:
        """Run it, and take its files along in the order in which they were written."""
        assert self._task is not None
        try:
            steps = self._task(seed)
            paths = [path for path in self._folder.rglob("*") if path.is_file()]
            paths.sort(key=lambda path: (path.stat().st_mtime_ns, path.name))
            files = [(path.relative_to(self._folder).as_posix(), path.read_bytes()) for path in paths]
            return steps, files, None
        except DiskFull as error:
            return 0, [], error
        except BaseException as error:
            return 0, [], Failure.of(error)
        finally:
            for path in self._folder.rglob("*"):
                if path.is_file():
                    path.unlink()


@dataclass
class _Pending:
    """What is awaited of an actor: the result of `seed`, or, if that is None, that it is ready."""

    actor: Any
    seed: int | None
    since: float


def run_seeds_on_ray(
    make_task: Callable[[], Task], seeds: Iterable[int], workers: int, timeout: float = 300.0, address: str = ""
) -> Generator[Result, None, None]:
    """As `workers.run_seeds`, on a Ray cluster.

    make_task: a dataclass with a `folder`, below which its tasks write. address: of the cluster, "auto" for the one of
    this machine, "" to start one here. Its machines need this package, and what tasks read at the same paths.

    Raises:
        ImportError: when Ray is missing. ConnectionError: if there is no cluster at the address.
        RuntimeError, DiskFull: as `workers.run_seeds`.
    """
    ray = require("ray", extra="ray")
    if workers < 1:
        raise ValueError(f"workers is {workers}; at least 1 is needed")
    todo = deque(seeds)
    if not todo:
        return
    ours = not ray.is_initialized()
    if ours:
        ray.init(address=address or None, log_to_driver=False, include_dashboard=None if address else False)
    pending: dict[Any, _Pending] = {}
    try:
        yield from _run(ray, make_task, todo, workers, timeout, pending)
    finally:
        for awaited in pending.values():
            with suppress(Exception):
                ray.kill(awaited.actor)
        if ours:
            ray.shutdown()


def _run(
    ray: Any, make_task: Any, todo: deque[int], workers: int, timeout: float, pending: dict[Any, _Pending]
) -> Generator[Result, None, None]:
    kind = ray.remote(num_cpus=1, max_restarts=0)(Actor)
    attempts, deaths, in_a_row = Counter[int](), Counter[int](), 0

    def start() -> None:
        actor = kind.remote(make_task)
        pending[actor.ready.remote()] = _Pending(actor, None, time.monotonic())

    while todo or any(p.seed is not None for p in pending.values()):
        busy = sum(p.seed is not None for p in pending.values())
        while len(pending) < min(workers, busy + len(todo)):
            start()
        done, _ = ray.wait(list(pending), num_returns=1, timeout=1.0)
        for ref in done:
            awaited, died = pending.pop(ref), False
            try:
                steps, files, failure = ray.get(ref)
            except ray.exceptions.RayError as error:
                # The actor is gone, or the node with what it gave.
                died, steps, files, failure = True, 0, [], Failure(f"its worker process died: {line_of(error)}")
            if isinstance(failure, DiskFull):
                raise failure
            seed = awaited.seed
            if seed is None:
                in_a_row += bool(died)
                if failure and (not died or in_a_row >= MAX_FAILURES_IN_A_ROW):
                    raise failure.error(NOT_STARTED)
            elif died and deaths[seed] < DEATHS:
                deaths[seed] += 1
                todo.append(seed)
            elif failure:
                attempts[seed] += 1
                in_a_row += 1
                if in_a_row >= MAX_FAILURES_IN_A_ROW:
                    raise failure.error(failing(in_a_row, seed))
                if attempts[seed] < ATTEMPTS and not died:
                    todo.append(seed)
                else:
                    yield Result(seed, 0, failure)
            else:
                in_a_row = 0
                write(make_task.folder, files)
                yield Result(seed, steps)
            # A task that has failed may have left its process in any state.
            if not failure and todo:
                seed = todo.popleft()
                pending[awaited.actor.run.remote(seed)] = _Pending(awaited.actor, seed, time.monotonic())
            else:
                with suppress(Exception):
                    ray.kill(awaited.actor)
        for awaited in pending.values():
            if awaited.seed is not None and time.monotonic() - awaited.since > timeout:
                # Its death is what is heard of it next.
                deaths[awaited.seed], awaited.since = DEATHS, float("inf")
                ray.kill(awaited.actor)


def write(folder: Path, files: Iterable[File]) -> None:
    """Write files of a task below its folder, each of them whole or not at all."""
    for name, content in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(content)
