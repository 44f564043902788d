"""What reaches the simulator of what a twin is given, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.spec import DISCRETE_ACTIONS, INFO_KEYS
from tests.environments.toy_twin import FORWARD, IDLE, make

pytest.importorskip("cv2", reason="drawing roads needs OpenCV, which the simulators' extras bring")

pytestmark = pytest.mark.usefixtures("toy")


def test_what_a_simulator_adds_is_in_info():
    env = make()
    env.reset(seed=0)
    step = env.simulator.step
    env.simulator.step = lambda action: replace(step(action), extras={"red_light": True})
    *_, info = env.step(FORWARD)
    assert info["red_light"] is True
    assert tuple(info)[: len(INFO_KEYS)] == INFO_KEYS


def test_options_reach_the_simulator():
    env = make()
    env.reset(seed=1, options={"scenario": "curve"})
    assert env.simulator.calls == [("reset", 1, {"scenario": "curve"})]
    with pytest.raises(ValueError, match=r"unknown option 'scenaro'\. Did you mean 'scenario'\?"):
        env.reset(seed=1, options={"scenaro": "curve"})


def test_settings_reach_the_simulator():
    env = make(top_speed=5.0)
    env.reset(seed=0)
    assert env.step(FORWARD)[0]["ego"][0] == 5


def test_discrete_actions_mean_what_the_table_says():
    env = make(action_type="discrete")
    env.reset(seed=0)
    for i in (1, 5, 29, np.int64(0)):
        observation, *_ = env.step(i)
        assert np.array_equal(observation["ego"][2:4], DISCRETE_ACTIONS[i])


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ([0.0], r"\[0\.0\].*shape \(2,\)"),
        ([0.0, 0.25, 0.0], r"0\.25.*shape \(2,\)"),
        ([[0.0, 0.0]], r"shape \(2,\)"),
        ([float("nan"), 0.0], "nan.*not finite"),
        (np.array([0.0, np.inf]), "inf.*not finite"),
        ("left", "'left'"),
        (None, "None"),
        ([True, False], "bool"),
        (np.zeros(2, complex), "complex"),
        ([[0.0], [0.0, 1.0]], "not an array"),
    ],
)
def test_bad_actions_are_refused_by_value_and_change_nothing(action, message):
    env = make()
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(action)
    assert not [call for call in env.simulator.calls if call[0] == "step"]
    env.step(IDLE)


@pytest.mark.parametrize("action", [30, -1, 1.0, [1], True, "2"])
def test_bad_discrete_actions_are_refused(action):
    env = make(action_type="discrete")
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action"):
        env.step(action)


@pytest.mark.parametrize("action", [[-7.0, 3.0], [-2, 9], np.array([-1e300, 1e300])])
def test_out_of_range_is_clipped(action):
    env = make()
    env.reset(seed=0)
    observation, *_ = env.step(action)
    assert observation["ego"][2:4].tolist() == [-1, 1]


def test_step_before_reset():
    with pytest.raises(ResetNeeded, match="reset"):
        make().step(IDLE)


def test_step_after_close():
    env = make()
    env.reset(seed=0)
    env.close()
    assert env.simulator.calls[-1] == "close"
    with pytest.raises(ResetNeeded, match="reset"):
        env.step(IDLE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"obs_type": "dicts"}, "unknown obs_type 'dicts'. Did you mean 'dict'?"),
        ({"obs_type": "latent"}, "obs_type 'latent' shows a world model's features: name its checkpoint"),
        ({"action_type": "discret"}, "unknown action_type 'discret'. Did you mean 'discrete'?"),
        ({"render_mode": "rgb"}, "unknown render_mode 'rgb'. Did you mean 'rgb_array'?"),
        ({"contract": "drivin"}, "unknown contract 'drivin'. Did you mean 'driving'?"),
        ({"simulator": "metadriv"}, "unknown simulator 'metadriv'. Did you mean 'metadrive'?"),
        ({"max_episode_steps": 0}, "max_episode_steps 0"),
    ],
)
def test_wrong_arguments(settings, message):
    with pytest.raises(ValueError) as raised:
        TwinDrivingEnv(**{"simulator": "toy", **settings})
    assert message in str(raised.value)
