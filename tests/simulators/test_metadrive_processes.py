"""Several MetaDrive environments: any number in one program, however it is written, and none left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import data_equivalence

import learned_sim_env

pytest.importorskip("metadrive", reason="MetaDrive is not installed")
psutil = pytest.importorskip("psutil", reason="comes with MetaDrive")

ID = "MetaDriveDriving-v0"
FORWARD = np.array([0.1, 0.5], np.float32)
ROOT = os.path.dirname(os.path.dirname(learned_sim_env.__file__))

# No main guard and no close, as people write.
PROGRAM = """
import gymnasium, learned_sim_env, numpy
print("started")
first, second = gymnasium.make("MetaDriveDriving-v0"), gymnasium.make("MetaDriveDriving-v0")
for env in (first, second):
    env.reset(seed=1)
for _ in range(3):
    a, b = (env.step(numpy.zeros(2, numpy.float32))[0] for env in (first, second))
print("same" if (a["bev"] == b["bev"]).all() and (a["ego"] == b["ego"]).all() else "different")
"""


def children() -> set:
    """Processes below this one that run, but for the one that tracks shared memory."""
    below = psutil.Process().children(recursive=True)
    return {c for c in below if c.status() != psutil.STATUS_ZOMBIE and "resource_tracker" not in "".join(c.cmdline())}


@pytest.fixture(autouse=True)
def none_left_behind():
    before = children()
    yield
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and children() - before:
        time.sleep(0.05)
    assert not children() - before


@pytest.mark.slow
def test_a_program_may_have_two_and_forget_to_close_them(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    path = os.pathsep.join([ROOT, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["started", "same"], "the script ran once, and both drove the same episode"


@pytest.mark.slow
def test_the_second_environment_gets_a_process_of_its_own():
    first, second = gym.make(ID), gym.make(ID)
    try:
        first.reset(seed=1)
        second.reset(seed=2)
        with pytest.raises(RuntimeError, match="isolate=True"):
            gym.make(ID, isolate=False)
        for _ in range(5):
            first.step(FORWARD)
            second.step(FORWARD)
        episodes = [[env.reset(seed=3), *(env.step(FORWARD) for _ in range(10))] for env in (first, second)]
        assert data_equivalence(*episodes, exact=True)
        with pytest.raises(ValueError, match=r"unknown scenario 'curv'\. Did you mean 'curve'\?"):
            second.reset(options={"scenario": "curv"})
        with pytest.raises(ResetNeeded):  # the episode before is over, whatever became of the reset
            second.step(FORWARD)
        second.reset(seed=4)
        second.step(FORWARD)
    finally:
        first.close()
        second.close()


@pytest.mark.slow
def test_gymnasiums_vector_environments_in_spawned_processes():
    envs = gym.make_vec(ID, 2, vectorization_mode="async", vector_kwargs={"context": "spawn"})
    try:
        observations, infos = envs.reset(seed=[1, 2])
        assert observations["bev"].shape == (2, 64, 64, 3)
        for _ in range(3):
            observations, rewards, *_ = envs.step(np.tile(FORWARD, (2, 1)))
        assert not np.array_equal(*observations["bev"])
        assert (rewards != 0).all()
        assert infos["context"].tolist() == [-1, -1]
    finally:
        envs.close()
