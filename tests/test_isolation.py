"""What a call in a process of its own gives, and how that process ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from learned_sim_env.isolation import isolated


class _Unreleasable:
    """An object that cannot be released, such as a dataset of HDF5 on a full disk."""

    def __del__(self) -> None:
        raise OSError(27, "File too large")


def _fail(value: int) -> None:
    raise KeyError(value)


def _release(path: Path) -> None:
    _Unreleasable()
    path.touch()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _never_end(path: Path) -> None:
    path.touch()
    time.sleep(600)


def test_the_result_of_another_process() -> None:
    assert isolated(os.getppid) == os.getpid()
    assert not multiprocessing.active_children()


def test_an_exception_is_passed_on_with_its_traceback() -> None:
    with pytest.raises(KeyError, match="7") as caught:
        isolated(_fail, 7)
    assert "in _fail" in str(caught.value.__cause__)


def test_what_cannot_be_released_ends_it_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="File too large") as caught:
        isolated(_release, tmp_path / "later")
    assert caught.value.errno == 27
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_dead_process_is_an_error_with_its_status() -> None:
    with pytest.raises(ChildProcessError, match="that ran die died, with status -9"):
        isolated(_die)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_an_interrupt_ends_it(tmp_path: Path) -> None:
    def interrupt() -> None:
        while not (tmp_path / "begun").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        isolated(_never_end, tmp_path / "begun")
    thread.join()
    assert time.monotonic() - begin < 300
    assert not multiprocessing.active_children()
