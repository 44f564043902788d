"""The twin keeps Gymnasium's contract and its own, seen through a simulator whose dynamics are known."""

from __future__ import annotations

import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env, data_equivalence

from learned_sim_env.rendering.palette import classes_of
from learned_sim_env.spec import (
    COST_TERMS,
    EGO_FIELDS,
    INFO_KEYS,
    REWARD_TERMS,
    SCENARIO_TAGS,
    TRAINING_SCENARIOS,
    SemanticClass,
)
from tests.environments.toy_twin import FORWARD, IDLE, drive, make
from tests.toy_simulator import NEAR_A_CONE, NEAR_THE_EDGE, NEAR_THE_END

pytest.importorskip("cv2", reason="drawing roads needs OpenCV, which the simulators' extras bring")

pytestmark = pytest.mark.usefixtures("toy")


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
