"""Measuring several things at a time, each in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import active_children, get_context
from typing import Any

from gymnasium.vector.utils import CloudpickleWrapper

from learned_sim_env.interrupts import leave_to_parent


def side_by_side(
    measure: Callable[[str], Any], names: Sequence[str], processes: int, threads: int = 0
) -> Iterator[tuple[str, Any]]:
    """`measure(name)` of all names, each as soon as it is there, in whatever order they come.

    Names are begun in their order. One that fails does not keep the others from being measured.

    measure: picklable; called in another process, it has to open there what it needs. threads: of each process; 0: an
    equal share of the machine's.

    Raises:
        Exception: what `measure` raised first, when all others are done.
    """
    failed: BaseException | None = None
    others = active_children()
    threads = threads or max(1, (os.cpu_count() or 1) // processes)
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin, (threads,)) as pool:
        waiting = {pool.submit(_measured, measure, name): name for name in names}
        try:
            for done in as_completed(waiting):
                if error := done.exception():
                    failed = failed or error
                else:
                    yield waiting[done], done.result().fn
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                if process not in others:
                    process.terminate()
            raise
    if failed:
        raise failed


def _begin(threads: int) -> None:
    import torch

    leave_to_parent()
    torch.set_num_threads(threads)


def _measured(measure: Callable[[str], Any], name: str) -> CloudpickleWrapper:
    # Parts of a report hold functions within functions, which draw their figures.
    return CloudpickleWrapper(measure(name))
