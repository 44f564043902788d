"""A simulator that fails ends the episode, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import data_equivalence

from learned_sim_env.scene import SimulatorError
from learned_sim_env.spec import INFO_KEYS
from tests.environments.toy_twin import FORWARD, IDLE, make
from tests.toy_simulator import NEAR_A_CONE

pytest.importorskip("cv2", reason="drawing roads needs OpenCV, which the simulators' extras bring")

pytestmark = pytest.mark.usefixtures("toy")


@pytest.mark.parametrize("where", ["ego", "agents"])
def test_a_scene_that_is_not_finite_is_a_simulators_failure(monkeypatch, where):
    env = make()
    env.reset(seed=NEAR_A_CONE)
    before, *_ = env.step(IDLE)
    lost, reset = env.simulator.scene, env.simulator.reset
    if where == "ego":
        lost = replace(lost, ego=replace(lost.ego, x=float("nan")))
    else:
        lost = replace(lost, agents=replace(lost.agents, poses=np.full_like(lost.agents.poses, np.inf)))
    monkeypatch.setattr(env.simulator, "step", lambda action: lost)
    with pytest.warns(UserWarning, match="broken off after 1 steps: the simulator gave numbers that are not finite"):
        observation, reward, terminated, truncated, info = env.step(IDLE)
    assert (reward, terminated, truncated, info["end_reason"]) == (0.0, False, True, "simulator_error")
    assert data_equivalence(observation, before, exact=True) and observation in env.observation_space
    monkeypatch.setattr(env.simulator, "reset", lambda seed, options: lost)
    with pytest.raises(SimulatorError, match="not finite"):
        env.reset(seed=0)
    monkeypatch.setattr(env.simulator, "reset", reset)
    env.reset(seed=0)


@pytest.mark.parametrize("error", [ValueError("no such road"), SimulatorError("the server is gone")])
def test_after_a_failed_reset_there_is_no_episode(monkeypatch, error):
    env = make()
    env.reset(seed=0)

    def fail(seed, options):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(env.simulator, "reset", fail)
        with pytest.raises(type(error), match=str(error)):
            env.reset(seed=1)
    with pytest.raises(ResetNeeded, match="reset"):
        env.step(IDLE)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="unknown option"):
        env.reset(options={"scenaro": "curve"})
    with pytest.raises(ResetNeeded, match="reset"):
        env.step(IDLE)


def test_a_failing_simulator_truncates_and_is_not_driving(monkeypatch):
    env = make()
    env.reset(seed=0)
    before, *_ = env.step(FORWARD)

    def fail(action):
        raise SimulatorError("the server is gone")

    monkeypatch.setattr(env.simulator, "step", fail)
    with pytest.warns(UserWarning, match="broken off after 1 steps: the server is gone"):
        observation, reward, terminated, truncated, info = env.step(FORWARD)
    assert data_equivalence(observation, before, exact=True)
    assert (reward, terminated, truncated, info["end_reason"]) == (0.0, False, True, "simulator_error")
    assert (tuple(info), info["cost"], info["ego_motion"].any()) == (INFO_KEYS, 0.0, False)
    with pytest.raises(ResetNeeded):
        env.step(FORWARD)
    monkeypatch.undo()
