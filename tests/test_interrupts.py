"""Whatever asks a command to end, what it has is saved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from learned_sim_env.interrupts import Interrupted, exit_status, interrupts, postponed
from learned_sim_env.viewer.tape import Tape

pty = pytest.importorskip("pty", reason="POSIX signals and terminals", exc_type=ImportError)
BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
DRIVE = [sys.executable, "-m", "learned_sim_env.cli.main", "drive", "--policy", "expert"]


@BOTH
def test_a_signal_is_an_interrupt_inside_and_only_the_first(number):
    before = signal.getsignal(number)
    with interrupts():
        with pytest.raises(Interrupted) as raised:
            os.kill(os.getpid(), number)
            time.sleep(5)
        # While what there is is saved.
        os.kill(os.getpid(), number)
    assert exit_status(raised.value) == 128 + number
    assert signal.getsignal(number) is before


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts(), postponed() as asked:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not asked
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_can_be_postponed(number):
    with interrupts(), postponed() as asked:
        os.kill(os.getpid(), number)
        assert [exit_status(interrupt) for interrupt in asked] == [128 + number]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)


def test_other_threads_leave_signals_alone():
    failed = []

    def use():
        try:
            with interrupts(), postponed():
                pass
        except ValueError as error:
            failed.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert not failed


def started(folder, *flags, **how):
    """A drive that records, under way."""
    pytest.importorskip("PIL", reason="the viewer needs the extra [viewer]")
    process = subprocess.Popen([*DRIVE, *flags, "--record", str(folder / "a.gif")], start_new_session=True, **how)
    deadline = time.monotonic() + 60
    # A film has its header once the first pictures are in it.
    while time.monotonic() < deadline and not any(f.stat().st_size > 30_000 for f in folder.glob(".unfinished*")):
        time.sleep(0.05)
    return process


@BOTH
@pytest.mark.parametrize("flags", [("--headless", "--steps", "100000"), ()], ids=["headless", "window"])
def test_a_recording_is_saved(number, flags, tmp_path):
    process = started(tmp_path, *flags, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.killpg(process.pid, number)
    told, error = process.communicate(timeout=60)
    assert process.returncode in (128 + number, 0), error
    assert f"written: {tmp_path / 'a.gif'}, {tmp_path / 'a.npz'}, {tmp_path / 'a.png'}" in told
    assert len(Tape.load(tmp_path / "a.npz")) > 1
    assert {path.name for path in tmp_path.iterdir()} == {"a.gif", "a.npz", "a.png"}


def test_a_recording_is_saved_when_the_terminal_goes(tmp_path):
    terminal, its_end = pty.openpty()
    process = started(
        tmp_path, "--headless", "--steps", "100000", stdin=its_end, stdout=its_end, stderr=its_end, preexec_fn=attach
    )
    os.close(its_end)
    os.close(terminal)
    process.wait(timeout=60)
    assert {path.name for path in tmp_path.iterdir()} == {"a.gif", "a.npz", "a.png"}


def attach():
    """Make standard input the terminal of this session, so that its end is told."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
