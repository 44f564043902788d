"""A folder has one writer at a time, and a killed one holds nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from learned_sim_env import locks
from learned_sim_env.cli.main import main
from learned_sim_env.locks import alone_in

HOLD = """
import sys
from pathlib import Path
from learned_sim_env.locks import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has the folder."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_it_is_free_again_afterwards_and_nothing_stays(tmp_path):
    for _ in range(2):
        with alone_in(tmp_path / "new"):
            message = f"new is in use by process {os.getpid()} on "
            with pytest.raises(BlockingIOError, match=message), alone_in(tmp_path / "new"):
                pass
        assert os.listdir(tmp_path / "new") == []
    with pytest.raises(KeyError), alone_in(tmp_path / "new"):
        raise KeyError
    with alone_in(tmp_path / "new"):
        pass


def test_another_process_is_named(tmp_path, holder):
    message = f"in use by process {holder.pid} on .*: wait for it, end it, or give"
    with pytest.raises(BlockingIOError, match=message), alone_in(tmp_path):
        pass


def test_one_that_was_killed_has_nothing(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert os.listdir(tmp_path) == [locks.FILE]
    with alone_in(tmp_path):
        pass


@pytest.mark.parametrize(
    "command", ["train --data none", "evaluate", "regress", "stress", "collect --episodes 1", "transfer"]
)
def test_commands_that_write_into_a_folder_want_it_alone(command, tmp_path, holder, capsys, monkeypatch):
    for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    assert main([*command.split(), "--out", str(tmp_path)]) == 2
    assert f"in use by process {holder.pid}" in capsys.readouterr().err
    assert os.listdir(tmp_path) == [locks.FILE]


def test_storage_without_locks_is_used_all_the_same(tmp_path, monkeypatch):
    def refuse(file):
        raise OSError("no locks available")

    monkeypatch.setattr(locks, "_lock", refuse)
    with pytest.warns(UserWarning, match="cannot be locked"), alone_in(tmp_path):
        pass
