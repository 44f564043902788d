"""TensorBoard's files, and what happens without space for them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from learned_sim_env.training.loop.curves import Curves

pytest.importorskip("tensorboard")

FULL = """
import resource, sys
from pathlib import Path
from learned_sim_env.files import DiskFull
from learned_sim_env.training.loop.curves import Curves
curves = Curves(Path(sys.argv[1]), 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
try:
    for step in range(1_000_000):
        curves.numbers("train", {"loss": 1.0}, step)
except DiskFull as error:
    print(error)
"""


def test_numbers_and_pictures_are_read_again(tmp_path):
    curves = Curves(tmp_path, 0)
    for step in range(3):
        curves.numbers("train", {"loss": float(step)}, step)
    curves.picture("dream", np.zeros((4, 4, 3), np.uint8), 2)
    curves.close()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(tmp_path)).Reload()
    assert [event.value for event in read.Scalars("train/loss")] == [0.0, 1.0, 2.0]
    assert read.Images("dream")[0].width == 4


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_without_space_there_is_one_error(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", FULL, str(tmp_path / "tensorboard")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{tmp_path / 'tensorboard'} cannot be written: {os.strerror(errno.EFBIG)}" in done.stdout
