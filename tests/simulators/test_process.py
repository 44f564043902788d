"""Simulators in processes of their own: as many as wanted, whatever the program looks like, and none left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import data_equivalence

import learned_sim_env
from learned_sim_env.simulators import open_simulator
from learned_sim_env.spec import CONTRACTS

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


def simulators() -> list:
    """Simulator processes below this one."""
    children = psutil.Process().children(recursive=True)
    return [c for c in children if c.status() != psutil.STATUS_ZOMBIE and "simulators.process" in " ".join(c.cmdline())]


@pytest.fixture(autouse=True)
def none_left_behind():
    before = simulators()
    yield
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and len(simulators()) > len(before):
        time.sleep(0.05)
    assert simulators() == before


def test_a_program_may_have_two_and_forget_to_close_them(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    path = os.pathsep.join([ROOT, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == ["started", "same"], "the script ran once, and both drove the same episode"


def test_the_second_environment_gets_a_process_of_its_own():
    first, second = gym.make(ID), gym.make(ID)
    assert len(simulators()) == 1
    try:
        first.reset(seed=1)
        second.reset(seed=2)
        with pytest.raises(RuntimeError, match="isolate=True"):
            gym.make(ID, isolate=False)
        for env in (first, second):
            for _ in range(5):
                env.step(FORWARD)
        episodes = [[env.reset(seed=3), *(env.step(FORWARD) for _ in range(10))] for env in (first, second)]
        assert data_equivalence(*episodes, exact=True)
        with pytest.raises(ValueError, match=r"unknown scenario 'curv'\. Did you mean 'curve'\?"):
            second.reset(options={"scenario": "curv"})
        second.step(FORWARD)
    finally:
        first.close()
        second.close()
    assert not simulators()
    assert second.reset(seed=3)[1] is not None, "and can be opened again"
    second.close()


def test_a_killed_simulator_is_named_and_replaced():
    env = gym.make(ID, isolate=True)
    try:
        with pytest.raises(ResetNeeded):
            env.step(FORWARD)
        env.reset(seed=1)
        first, *_ = env.step(FORWARD)
        (child,) = simulators()
        child.send_signal(signal.SIGKILL)
        child.wait(5)
        for _ in range(2):
            with pytest.raises(RuntimeError, match=r"exit code -9: reset the environment to start another"):
                env.step(FORWARD)
        env.reset(seed=1)
        again, *_ = env.step(FORWARD)
        assert data_equivalence(first, again, exact=True)
    finally:
        env.close()


def test_an_interrupted_call_does_not_answer_the_next_one():
    simulator = open_simulator("metadrive", CONTRACTS["driving"], isolate=True)
    simulator.reset(1, {})
    alarm = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(KeyboardInterrupt):
            simulator.reset(2, {})
    finally:
        signal.signal(signal.SIGALRM, alarm)
    with pytest.raises(RuntimeError, match="reset the environment"):
        simulator.step(FORWARD)
    assert simulator.reset(1, {}).ego.speed < 0.1
    simulator.close()


def test_what_is_wrong_with_the_simulator_is_said_when_it_is_opened():
    with pytest.raises(TypeError, match="speed"):
        open_simulator("metadrive", CONTRACTS["driving"], isolate=True, speed=3)


def test_it_ends_with_its_owner():
    simulator = open_simulator("metadrive", CONTRACTS["driving"], isolate=True)
    assert len(simulators()) == 1
    del simulator
    assert not simulators()


def test_gymnasiums_vector_environments_in_spawned_processes():
    envs = gym.make_vec(ID, 2, vectorization_mode="async", vector_kwargs={"context": "spawn"}, isolate=True)
    try:
        observations, infos = envs.reset(seed=[1, 2])
        assert observations["bev"].shape == (2, 64, 64, 3)
        for _ in range(3):
            observations, rewards, *_ = envs.step(np.tile(FORWARD, (2, 1)))
        assert not np.array_equal(*observations["ego"])
        assert (rewards != 0).all()
        assert infos["context"].tolist() == [-1, -1]
    finally:
        envs.close()
