"""The twin keeps Gymnasium's contract and its own, seen through a simulator whose dynamics are known."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env, data_equivalence

from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.rendering.palette import classes_of
from learned_sim_env.scene import SimulatorError
from learned_sim_env.simulators import SIMULATORS
from learned_sim_env.spec import (
    COST_TERMS,
    DISCRETE_ACTIONS,
    EGO_FIELDS,
    INFO_KEYS,
    REWARD_TERMS,
    SCENARIO_TAGS,
    TRAINING_SCENARIOS,
    SemanticClass,
)
from tests.toy_simulator import NEAR_A_CONE, NEAR_THE_EDGE, NEAR_THE_END

pytest.importorskip("cv2", reason="drawing roads needs OpenCV, which the simulators' extras bring")

IDLE = np.zeros(2, np.float32)
FORWARD = np.array([0.0, 1.0], np.float32)


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    """The toy simulator is one of the known ones."""
    monkeypatch.setitem(SIMULATORS, "toy", "tests.toy_simulator:ToySimulator")


def make(**settings) -> TwinDrivingEnv:
    return TwinDrivingEnv("toy", **settings)


def drive(env, seed, steps=30):
    rng = np.random.default_rng(0)
    results = [env.reset(seed=seed)]
    for _ in range(steps):
        results.append(env.step(rng.uniform((-0.2, 0.0), (0.2, 1.0)).astype(np.float32)))
    return results


@pytest.mark.parametrize("obs_type", ["dict", "classes", "bev", "semantic", "flat"])
@pytest.mark.parametrize("action_type", ["continuous", "discrete"])
def test_gymnasium_finds_nothing_to_complain_about(obs_type, action_type):
    pytest.importorskip("pygame", reason="render mode 'human' needs the extra [viewer]")
    gym.register("ToyTwin-v0", lambda **settings: make(obs_type=obs_type, action_type=action_type, **settings))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(gym.make("ToyTwin-v0").unwrapped)
    finally:
        del gym.registry["ToyTwin-v0"]


def test_reward_belongs_to_the_action():
    env = make()
    observation, _ = env.reset(seed=0)
    assert observation["ego"][0] == 0
    rng = np.random.default_rng(0)
    for t in range(20):
        action = np.array([0.0, rng.uniform(0, 1)], np.float32)
        observation, reward, _, _, info = env.step(action)
        assert info["reward_terms"]["progress"] == pytest.approx(10 * action[1] / 15, abs=1e-6), t
        assert reward == pytest.approx(sum(info["reward_terms"].values()), abs=1e-6)
        assert info["ego_motion"] == pytest.approx([action[1], 0, 0], abs=1e-6)
        ego = dict(zip(EGO_FIELDS, observation["ego"].tolist()))
        assert ego["speed"] == pytest.approx(10 * action[1], abs=1e-5)
        assert (ego["last_steer"], ego["last_throttle_brake"]) == tuple(action.tolist())


def test_steering_right_turns_right():
    env = make()
    env.reset(seed=0)
    observation, _, _, _, info = env.step(np.array([1.0, 0.5], np.float32))
    ego = dict(zip(EGO_FIELDS, observation["ego"].tolist()))
    assert ego["yaw_rate"] == -1
    assert info["ego_motion"][2] == pytest.approx(-0.1)
    assert ego["route_heading_error"] == pytest.approx(-0.1)
    assert ego["route_distance"] < 0


@pytest.mark.parametrize(
    ("seed", "action", "reason", "cost", "bonus"),
    [
        (NEAR_THE_END, FORWARD, "arrival", 0, 10),
        (NEAR_A_CONE, FORWARD, "collision", 1, -10),
        (NEAR_THE_EDGE, [1.0, 1.0], "off_road", 1, -10),
    ],
)
def test_ends(seed, action, reason, cost, bonus):
    env = make()
    env.reset(seed=seed)
    for _ in range(20):
        _, reward, terminated, truncated, info = env.step(np.asarray(action, np.float32))
        assert not truncated
        assert info["end_reason"] == (reason if terminated else "")
        if terminated:
            break
    assert terminated
    assert info["cost"] == cost
    assert info["reward_terms"][reason] == bonus
    assert reward == pytest.approx(sum(info["reward_terms"].values()), abs=1e-5)
    with pytest.raises(ResetNeeded, match="reset"):
        env.step(IDLE)
    env.reset(seed=0)
    env.step(IDLE)


@pytest.mark.parametrize("limit", [1, 4])
def test_time_limit(limit):
    env = make(max_episode_steps=limit)
    for _ in range(2):
        env.reset(seed=0)
        results = [env.step(IDLE) for _ in range(limit)]
        assert [r[3] for r in results] == [False] * (limit - 1) + [True]
        assert [r[4]["end_reason"] for r in results] == [""] * (limit - 1) + ["time_limit"]
        assert not any(r[2] for r in results)
        with pytest.raises(ResetNeeded, match="reset"):
            env.step(IDLE)


def test_the_contracts_time_limit():
    env = make()
    env.reset(seed=0)
    truncations = [env.step(IDLE)[3] for _ in range(500)]
    assert truncations == [False] * 499 + [True]


def test_termination_comes_before_truncation():
    env = make(max_episode_steps=1)
    env.reset(seed=NEAR_THE_END)
    _, _, terminated, truncated, info = env.step(FORWARD)
    assert (terminated, truncated, info["end_reason"]) == (True, False, "arrival")


def test_info_has_the_same_keys_always():
    env = make()
    _, first = env.reset(seed=0)
    *_, later = env.step(IDLE)
    for info in (first, later):
        assert tuple(info) == INFO_KEYS
        assert tuple(info["reward_terms"]) == REWARD_TERMS
        assert tuple(info["cost_terms"]) == COST_TERMS
        assert set(info["scenario_tags"]) <= set(SCENARIO_TAGS)
        assert (info["imagined_steps"], info["context"], info["uncertainty"]) == (0, -1, 0.0)
        assert {type(v) for v in (*info["reward_terms"].values(), *info["cost_terms"].values())} == {float}


def test_tags_are_of_where_the_episode_began():
    env = make()
    _, info = env.reset(seed=NEAR_A_CONE)
    assert info["scenario_tags"] == ("straight", "objects") == tuple(np.array(SCENARIO_TAGS)[env.tags])
    for _ in range(30):
        *_, info = env.step(np.array([0.0, -1.0], np.float32))
    assert info["scenario_tags"] == ("straight", "objects")
    assert tuple(np.array(SCENARIO_TAGS)[env.tags]) == ("straight",), "the present place is another one"
    assert env.reset(seed=0)[1]["scenario_tags"] == ("straight",)


def test_driving_the_wrong_way_costs_and_goes_on():
    env = make()
    env.reset(seed=0)
    for _ in range(20):
        _, _, terminated, _, info = env.step(np.array([-1.0, 0.0], np.float32))
    assert not terminated
    assert (info["cost"], info["cost_terms"]) == (1.0, {"collision": 0.0, "off_road": 0.0, "wrong_way": 1.0})


def test_every_kind_of_observation_shows_the_same_moment():
    envs = {obs_type: make(obs_type=obs_type) for obs_type in ("dict", "bev", "semantic")}
    seen = {obs_type: drive(env, 4)[-1][0] for obs_type, env in envs.items()}
    assert np.array_equal(seen["dict"]["bev"], seen["bev"])
    assert np.array_equal(classes_of(seen["bev"]), seen["semantic"])
    for obs_type, env in envs.items():
        assert seen[obs_type] in env.observation_space
    assert (seen["semantic"][48, 32], seen["semantic"][0, 0]) == (SemanticClass.EGO, SemanticClass.OFF_ROAD)


def test_the_seed_names_the_scenario():
    env = make()
    assert data_equivalence(drive(env, 5), drive(make(), 5), exact=True)
    assert not data_equivalence(drive(env, 5), drive(env, 6), exact=True)
    assert [call[1] for call in env.simulator.calls if call[0] == "reset"] == [5, 5, 6]


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


def test_reset_without_a_seed_draws_training_scenarios():
    env = make()

    def scenarios():
        env.simulator.calls.clear()
        env.reset(seed=3)
        for _ in range(20):
            env.reset()
        return [call[1] for call in env.simulator.calls]

    first = scenarios()
    assert first == scenarios(), "the generator goes on from the seed"
    assert first[0] == 3
    assert len(set(first)) == 21
    assert max(first) < TRAINING_SCENARIOS.stop
    assert max(first) > TRAINING_SCENARIOS.stop / 2


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


@pytest.mark.parametrize("obs_type", ["dict", "classes", "bev", "semantic", "flat"])
def test_nothing_returned_is_shared(obs_type):
    env = make(obs_type=obs_type, render_mode="rgb_array")
    kept = [(r[0], r[-1]) for r in drive(env, 0, steps=3)]
    copies = pickle.loads(pickle.dumps(kept))
    for observation, info in kept:
        frame = env.render()
        for array in (*(observation.values() if isinstance(observation, dict) else [observation]), info["ego_motion"]):
            array[:] += 1
        assert np.array_equal(env.render(), frame)
    assert data_equivalence(copies, [(r[0], r[-1]) for r in drive(env, 0, steps=3)], exact=True)


def test_rgb_array_is_the_view():
    env = make(render_mode="rgb_array")
    with pytest.raises(ResetNeeded, match="nothing to be seen"):
        env.render()
    observation, _ = env.reset(seed=0)
    assert np.array_equal(env.render(), observation["bev"])
    observation, *_ = env.step(FORWARD)
    assert np.array_equal(env.render(), observation["bev"])
    assert make().render() is None


def test_window():
    pygame = pytest.importorskip("pygame", reason="render mode 'human' needs the extra [viewer]")
    env = make(render_mode="human")
    env.reset(seed=0)
    assert pygame.display.get_surface() is not None
    env.step(IDLE)
    assert env.render() is None
    env.close()
    env.close()
    assert pygame.display.get_surface() is None
