"""Requests to end: from the keyboard, from a process manager, or because the terminal has closed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Besides the keyboard's. POSIX has the first two, Windows the first and the last.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))


class Interrupted(KeyboardInterrupt):
    """As if the keyboard had interrupted, by signal `number`."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_status(interrupt: KeyboardInterrupt) -> int:
    """What shells give to a program that a signal has ended."""
    return 128 + (interrupt.number if isinstance(interrupt, Interrupted) else signal.SIGINT)


@contextmanager
def interrupts() -> Iterator[None]:
    """Inside, every signal that asks this process to end is what Ctrl-C is: an exception, after which all is saved.

    The first of them only: a process manager or a closing terminal may send several at once, and the others must not
    interrupt the saving. What was set to be ignored, as by `nohup`, still is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if not asked:
            asked = True
            raise Interrupted(number)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    taken = [number for number, handler in before.items() if handler is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


@contextmanager
def postponed() -> Iterator[list[KeyboardInterrupt]]:
    """Inside, requests to end are collected in the list instead of raised; the caller looks at it and stops soon.

    A second interrupt from the keyboard is raised.
    """
    asked: list[KeyboardInterrupt] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, frame: FrameType | None) -> None:
        again = bool(asked)
        asked.append(KeyboardInterrupt() if number == signal.SIGINT else Interrupted(number))
        if again and number == signal.SIGINT:
            raise asked[-1]

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *_SIGNALS)}
    # None: set by native code, and could not be set again.
    taken = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    for number in taken:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        for number in taken:
            signal.signal(number, before[number])


def leave_to_parent() -> None:
    """In a worker: ignore the signals that a terminal sends to its whole process group; the parent handles them.

    The worker ends when the parent hangs up, or at a signal that is sent to it alone.
    """
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
