"""Every process of a machine has a device of its own, and the same share of a batch."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from learned_sim_env.training.loop.trainer import Trainer
from learned_sim_env.training.processes import Process, run_together
from tests.training.loop.test_trainer import TINY


def process(**variables):
    """As `torchrun` would tell it."""
    return Process.started({name: str(value) for name, value in variables.items()})


def test_processes_of_two_machines_share_no_gpu():
    devices = [process(RANK=r, WORLD_SIZE=8, LOCAL_RANK=r % 4).device("cuda", gpus=4) for r in range(8)]
    assert [str(device) for device in devices] == [f"cuda:{i}" for i in (0, 1, 2, 3)] * 2


@pytest.mark.parametrize(("wanted", "gpus", "device"), [("", 0, "cpu"), ("", 2, "cuda:1"), ("cpu", 2, "cpu")])
def test_the_device_that_is_wanted(wanted, gpus, device):
    assert process(RANK=1, WORLD_SIZE=2, LOCAL_RANK=1).device(wanted, gpus) == torch.device(device)


def test_alone_there_is_nothing_to_choose():
    assert process() == Process()
    assert process().device("cuda", gpus=1) == torch.device("cuda:0")
    # Such as one GPU that is made visible to each process.
    assert process(RANK=3, WORLD_SIZE=4).device("cuda:0", gpus=1) == torch.device("cuda:0")


@pytest.mark.parametrize(
    ("variables", "gpus", "message"),
    [
        ({"RANK": 2, "WORLD_SIZE": 3, "LOCAL_RANK": 2}, 2, "no GPU for process 2 of this machine, which has 2"),
        ({"RANK": 1, "WORLD_SIZE": 2}, 2, "set LOCAL_RANK"),
        ({}, 0, "torch sees no GPU: give --device cpu"),
    ],
)
def test_no_gpu_of_its_own(variables, gpus, message):
    with pytest.raises(ValueError, match=message):
        process(**variables).device("cuda", gpus)


@pytest.mark.parametrize(
    ("batch_size", "message"),
    [
        (4, "batch_size 4 cannot be shared evenly by 3 processes: give 3 or 6"),
        (6, "path_batch 512 cannot .* give 510 or 513"),
        (2, "batch_size 2 cannot be shared evenly by 3 processes: give 3"),
    ],
)
def test_no_window_is_lost(batch_size, message, packed, tmp_path, monkeypatch):
    for name, value in (("RANK", 0), ("WORLD_SIZE", 3), ("LOCAL_RANK", 0)):
        monkeypatch.setenv(name, str(value))
    with pytest.raises(ValueError, match=message):
        Trainer(replace(TINY, batch_size=batch_size), packed, tmp_path)


def told(folder: Path) -> None:
    """What one of several processes knows of itself."""
    found = Process.started()
    if found.rank == 1 and (folder / "fails").exists():
        raise ValueError("number 1 fails")
    (folder / f"{found.rank}").write_text(f"{found.local_rank} of {found.world}")


@pytest.mark.slow
def test_processes_that_are_started_together_know_their_numbers(tmp_path):
    run_together(told, tmp_path, 2)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"0": "0 of 2", "1": "1 of 2"}
    (tmp_path / "fails").touch()
    with pytest.raises(torch.multiprocessing.ProcessRaisedException, match="number 1 fails"):
        run_together(told, tmp_path, 2)


def waits(folder: Path) -> None:
    """One of several processes that has much to do, and notes that it was asked to end."""
    rank = Process.started().rank
    (folder / f"{rank}.began").touch()
    try:
        time.sleep(120)
    except KeyboardInterrupt:
        (folder / f"{rank}.ended").touch()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_processes_end_when_the_one_that_started_them_is_killed(tmp_path):
    code = (
        "import pathlib; from learned_sim_env.training.processes import run_together; "
        f"from tests.training.test_processes import waits; run_together(waits, pathlib.Path({str(tmp_path)!r}), 2)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])

    def all_have(what: str) -> bool:
        deadline = time.time() + 120
        while not all((tmp_path / f"{rank}.{what}").exists() for rank in (0, 1)):
            if time.time() > deadline or (what == "began" and parent.poll() is not None):
                return False
            time.sleep(0.05)
        return True

    assert all_have("began")
    parent.kill()
    parent.wait()
    assert all_have("ended")
