"""A simulator in a process of its own behaves as it would here, can be killed or interrupted, and leaves nothing."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import subprocess
import sys
import time

import gymnasium as gym
import numpy as np
import pytest

from learned_sim_env.scene import SimulatorError
from learned_sim_env.simulators import SIMULATORS, open_simulator, process
from learned_sim_env.spec import CONTRACTS
from tests.toy_simulator import isolated_twin

FORWARD = np.array([0.1, 0.5], np.float32)

pytestmark = pytest.mark.usefixtures("toy")


@pytest.fixture
def opened():
    """Opens the toy simulator in a process of its own, and closes it in the end."""
    with contextlib.ExitStack() as stack:

        def open_toy(**settings):
            simulator = open_simulator("toy", CONTRACTS["driving"], isolate=True, **settings)
            stack.callback(simulator.close)
            return simulator

        yield open_toy


def alive(pid: int) -> bool:
    """Whether a child of this process runs."""
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False


def pid_of(simulator) -> int:
    return simulator._process.pid


def test_it_answers_as_it_would_in_this_process(opened):
    there, here = opened(top_speed=7.0), open_simulator("toy", CONTRACTS["driving"], isolate=False, top_speed=7.0)
    for seed in (3, 4):
        scenes = [[s.reset(seed, {}), *(s.step(FORWARD) for _ in range(3))] for s in (there, here)]
        assert pickle.dumps([s.ego for s in scenes[0]]) == pickle.dumps([s.ego for s in scenes[1]])
        assert np.array_equal(scenes[0][0].road_map.route, scenes[1][0].road_map.route)
        assert len({id(scene.road_map) for scene in scenes[0]}) == 1, "what is derived from a map is cached by identity"
    assert np.array_equal(there.policy_action("idm"), here.policy_action("idm"))


def test_errors_are_raised_here_and_cost_nothing(opened):
    simulator = opened()
    simulator.reset(0, {})
    with pytest.raises(ValueError, match="no such place"):
        simulator.reset(1, {"error": ValueError("no such place")})
    assert simulator.step(FORWARD).ego.speed == 5.0


def test_what_is_wrong_with_the_settings_is_said_when_it_is_opened():
    with pytest.raises(ValueError, match=r"unknown setting of toy: 'speed'\. Did you mean 'top_speed'"):
        open_simulator("toy", CONTRACTS["driving"], isolate=True, speed=3)
    with pytest.raises(TypeError, match="speed"):
        process.ProcessSimulator(SIMULATORS["toy"], CONTRACTS["driving"], {"speed": 3})


def test_a_killed_one_is_named_and_replaced(opened):
    simulator = opened()
    simulator.reset(1, {})
    before = simulator.step(FORWARD)
    os.kill(pid_of(simulator), signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"exit code -9: reset the environment to start another"):
            simulator.step(FORWARD)
    simulator.reset(1, {})
    assert simulator.step(FORWARD).ego == before.ego


def test_one_that_answers_no_more_is_ended_and_replaced(opened, monkeypatch):
    simulator = opened(delay=60.0)
    simulator.reset(1, {})
    monkeypatch.setattr(process, "_SILENCE", 0.5)
    hung, began = pid_of(simulator), time.monotonic()
    with pytest.raises(SimulatorError, match=r"exit code -9, killed because it had not answered for 0\.5 s"):
        simulator.step(FORWARD)
    assert time.monotonic() - began < 5.0
    assert not alive(hung)
    monkeypatch.undo()
    simulator.reset(2, {})
    assert pid_of(simulator) != hung


def test_an_interrupted_call_does_not_answer_the_next_one(opened):
    simulator = opened(delay=0.3)
    simulator.reset(0, {})
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            simulator.step(FORWARD)
    finally:
        signal.signal(signal.SIGALRM, handler)
    with pytest.raises(RuntimeError, match="reset the environment"):
        simulator.step(FORWARD)
    simulator.reset(7, {})
    assert simulator.step(FORWARD).ego.x > 0.7


def test_an_interrupt_at_the_terminal_is_left_to_the_caller(opened):
    simulator = opened()
    simulator.reset(0, {})
    os.kill(pid_of(simulator), signal.SIGINT)
    assert simulator.step(FORWARD).ego.speed == 5.0


def test_closing_ends_it_and_a_reset_starts_another(opened):
    simulator = opened()
    pid = pid_of(simulator)
    simulator.reset(0, {})
    assert alive(pid)
    simulator.close()
    simulator.close()
    assert not alive(pid)
    simulator.reset(0, {})
    assert pid_of(simulator) != pid


def test_it_ends_with_what_held_it():
    simulator = open_simulator("toy", CONTRACTS["driving"], isolate=True)
    pid = pid_of(simulator)
    assert alive(pid)
    del simulator
    gc.collect()
    assert not alive(pid)


def test_it_ends_when_its_owner_is_killed():
    owner = """
import os
from learned_sim_env.simulators.process import ProcessSimulator
from learned_sim_env.spec import Contract
simulator = ProcessSimulator("tests.toy_simulator:ToySimulator", Contract(), {})
print(simulator._process.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", owner], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == -9, done.stderr
    deadline = time.monotonic() + 10
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(int(done.stdout), 0)
            time.sleep(0.02)


def test_a_vector_environments_worker_may_have_one():
    pytest.importorskip("cv2", reason="drawing roads needs OpenCV, which the simulators' extras bring")
    envs = gym.vector.AsyncVectorEnv([isolated_twin] * 2, context="spawn")
    try:
        observations, _ = envs.reset(seed=[1, 5])
        assert observations["bev"].shape == (2, 64, 64, 3)
        observations, *_ = envs.step(np.stack([FORWARD, 2 * FORWARD]))
        assert observations["ego"][:, 0].tolist() == [5.0, 10.0]
    finally:
        envs.close()


def test_one_that_does_not_even_read_is_ended(opened, monkeypatch):
    simulator = opened()
    simulator.reset(1, {})
    monkeypatch.setattr(process, "_SILENCE", 0.5)
    os.kill(pid_of(simulator), signal.SIGSTOP)
    with pytest.raises(SimulatorError, match=r"killed because it had not answered for 0\.5 s"):
        simulator.reset(1, {"more": "than fits into a pipe" * 100_000})


def test_a_terminal_that_goes_is_left_to_the_caller(opened):
    simulator = opened()
    simulator.reset(0, {})
    os.kill(pid_of(simulator), signal.SIGHUP)
    assert simulator.step(FORWARD).ego.speed == 5.0
