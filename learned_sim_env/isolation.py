"""Calls in a process of their own, for libraries that do not survive their own errors."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

_Result = TypeVar("_Result")


def isolated(function: Callable[..., _Result], *arguments: object) -> _Result:
    """What `function(*arguments)` returns in a new process; function, arguments and result must be picklable.

    What the process writes to standard error is dropped: what is of use is in the exception, which is passed on.

    Raises:
        ChildProcessError: if the process died.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_be_quiet) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BrokenProcessPool as error:
            raise ChildProcessError(f"the process that ran {function.__qualname__.lstrip('_')} died") from error


def _be_quiet() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
