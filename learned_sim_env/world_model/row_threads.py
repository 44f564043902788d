"""Rows of a batch that are computed one by one, on several threads of the processor at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

T = TypeVar("T")


def each(function: Callable[..., T], *rows: Sequence[Any]) -> list[T]:
    """A function's results for each row, on as many threads as torch takes.

    A thread computes its rows on its own, because threads that share a row wait for each other after every operation,
    which takes longer than one of them alone. So every result is the same to the bit on any number of threads, if there
    are several rows. With gradients all is computed in the calling thread.
    """
    threads = torch.get_num_threads()
    count = min(threads, len(rows[0]))
    if count < 2 or torch.is_grad_enabled():
        return [function(*row) for row in zip(*rows, strict=True)]
    # Threads have modes of their own.
    mode = torch.inference_mode if torch.is_inference_mode_enabled() else torch.no_grad

    def alone(*row: Any) -> T:
        with mode():
            return function(*row)

    try:
        # Made anew each time, which takes a fraction of a row's time: a process that is forked has no threads.
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(alone, *rows))
    finally:
        # What a thread has set holds for those that are started later.
        torch.set_num_threads(threads)
