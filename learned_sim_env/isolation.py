"""Calls in a process of their own, for libraries that do not survive their own errors."""

from __future__ import annotations

import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import NoReturn, TypeVar

_Result = TypeVar("_Result")


def isolated(function: Callable[..., _Result], *arguments: object) -> _Result:
    """What `function(*arguments)` returns in a new process; function, arguments and result must be picklable.

    An exception is passed on, and so is one that Python would only print: that of an object that could not be released.
    The process ends at once then, because what it would tidy up may crash it. What it writes to standard error is
    dropped.

    Raises:
        ChildProcessError: if the process died.
    """
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sending, function, arguments))
    with receiving:
        with sending:
            process.start()
        try:
            result, error, told = receiving.recv()
        except EOFError:
            process.join()
            name = function.__qualname__.lstrip("_")
            raise ChildProcessError(f"the process that ran {name} died, with status {process.exitcode}") from None
        except BaseException:
            process.terminate()
            raise
        finally:
            process.join()
    if error is not None:
        raise error from RuntimeError(f"in the process that ran it:\n{told}")
    return result


def _answer(sending: Connection, function: Callable[..., object], arguments: tuple[object, ...]) -> None:
    """Send the result, the exception and its traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)

    def end(result: object, error: BaseException | None = None) -> NoReturn:
        sending.send((result, error, "".join(traceback.format_exception(error)) if error else ""))
        os._exit(0)

    sys.unraisablehook = lambda unraisable: end(None, unraisable.exc_value)
    try:
        end(function(*arguments))
    except BaseException as error:
        end(None, error)
