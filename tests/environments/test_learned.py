"""The learned environment keeps Gymnasium's contract and its own, seen through a model whose dynamics are known."""

from __future__ import annotations

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env, data_equivalence

from learned_sim_env.drivers.ray_features import EGO_SCALE
from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.rendering.palette import classes_of
from learned_sim_env.spec import COST_TERMS, DISCRETE_ACTIONS, INFO_KEYS, OBS_TYPES, REWARD_TERMS
from tests.toy_model import ARRIVE, CRASH, IDLE, SURPRISE, NeuralToy, ToyModel, toy_checkpoint


def make(model=None, **settings):
    return LearnedDrivingEnv(toy_checkpoint(model), **settings)


def drive(env, seed, steps=30, policy_seed=0):
    """Everything that comes out of an episode of gentle random actions."""
    rng = np.random.default_rng(policy_seed)
    results = [env.reset(seed=seed)]
    for _ in range(steps):
        results.append(env.step(rng.uniform(-0.9, 0.9, 2).astype(np.float32)))
    return results


@pytest.mark.parametrize("obs_type", ["dict", "classes", "bev", "semantic", "flat"])
@pytest.mark.parametrize("action_type", ["continuous", "discrete"])
def test_gymnasium_finds_nothing_to_complain_about(obs_type, action_type):
    pytest.importorskip("pygame", reason="render mode 'human' needs the extra [viewer]")
    gym.register("ToyDriving-v0", lambda **settings: make(obs_type=obs_type, action_type=action_type, **settings))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(gym.make("ToyDriving-v0").unwrapped)
    finally:
        del gym.registry["ToyDriving-v0"]


@pytest.mark.parametrize("obs_type", OBS_TYPES)
def test_observations_are_in_the_space_however_long_it_takes(obs_type):
    env = make(obs_type=obs_type)
    observation, _ = env.reset(seed=0)
    for _ in range(80):  # far beyond the bounds of speed and yaw rate
        assert observation in env.observation_space
        observation, *_ = env.step(IDLE)


def test_latent_never_draws():
    env = make(obs_type="latent", render_mode="rgb_array")
    drive(env, 0)
    env.snapshot()
    assert env.checkpoint.model.drawn == 0
    env.render()
    assert env.checkpoint.model.drawn == 1


def test_time_passes_and_reward_belongs_to_the_action():
    env = make()
    observation, _ = env.reset(options={"context": 3})
    assert observation["ego"][0] == 3
    for t in range(1, 12):
        action = np.array([0.25, t / 16], np.float32)
        observation, reward, _, _, info = env.step(action)
        assert observation["ego"][0] == 3 + t
        assert observation["ego"][2:4].tolist() == action.tolist()
        assert info["reward_terms"]["progress"] == t / 16
        assert info["reward_terms"]["lateral_speed"] == -0.25
        assert reward == pytest.approx(sum(info["reward_terms"].values()))
        assert info["ego_motion"].tolist() == [3 + t, 0, 0]
        assert info["imagined_steps"] == t


def test_every_kind_of_observation_shows_the_same_moment():
    envs = {obs_type: make(obs_type=obs_type) for obs_type in OBS_TYPES}
    for _ in range(2):
        seen = {obs_type: drive(env, 4)[-1][0] for obs_type, env in envs.items()}
        assert np.array_equal(seen["dict"]["bev"], seen["bev"])
        assert np.array_equal(classes_of(seen["bev"]), seen["semantic"])
        assert np.array_equal(seen["classes"]["semantic"], seen["semantic"])
        assert np.array_equal(seen["classes"]["ego"], seen["dict"]["ego"])
        assert np.array_equal(seen["flat"][-6:], seen["dict"]["ego"] * EGO_SCALE)
        assert seen["semantic"][0, 0] == seen["latent"][:2].sum() % 9


def test_through_wrappers():
    env = gym.wrappers.TimeLimit(gym.wrappers.FlattenObservation(make()), max_episode_steps=6)
    env = gym.wrappers.RecordEpisodeStatistics(env)
    observation, _ = env.reset(seed=1)
    speeds = [observation[-6]]
    for _ in range(6):
        observation, _, _, truncated, info = env.step(IDLE)
        speeds.append(observation[-6])
    assert np.diff(speeds).tolist() == [1] * 6
    assert truncated
    assert info["episode"]["l"] == 6


def test_info_has_the_same_keys_always():
    env = make()
    _, first = env.reset(seed=0)
    *_, later = env.step(IDLE)
    assert set(first) == set(later) == set(INFO_KEYS)
    for info in (first, later):
        assert tuple(info["reward_terms"]) == REWARD_TERMS
        assert tuple(info["cost_terms"]) == COST_TERMS
        assert info["end_reason"] == ""
    assert first["imagined_steps"] == 0
    assert first["scenario_tags"] == (("curve",) if first["context"] % 2 == 0 else ())


@pytest.mark.parametrize(
    ("action", "reason", "terminated", "cost"),
    [(CRASH, "collision", True, 1), (ARRIVE, "arrival", True, 0), (SURPRISE, "uncertainty", False, 0)],
)
def test_ends(action, reason, terminated, cost):
    env = make()
    env.reset(seed=0)
    env.step(IDLE)
    _, reward, term, trunc, info = env.step(action)
    assert (term, trunc) == (terminated, not terminated)
    assert info["end_reason"] == reason
    assert info["cost"] == cost == info["cost_terms"]["collision"]
    terms = info["reward_terms"]
    graded = terms["progress"] + terms["lateral_speed"] + terms["steering_change"]
    assert reward == pytest.approx(graded + {"collision": -10, "arrival": 10}.get(reason, 0))
    with pytest.raises(ResetNeeded, match="reset"):
        env.step(IDLE)
    env.reset()
    env.step(IDLE)


def test_driving_the_wrong_way_costs_and_goes_on():
    env = make()
    env.reset(seed=0)
    _, _, terminated, truncated, info = env.step(np.array([0.0, -0.5], np.float32))
    assert not terminated
    assert not truncated
    assert (info["cost"], info["cost_terms"]["wrong_way"]) == (1.0, 1.0)


@pytest.mark.parametrize("limit", [1, 4])
def test_time_limit(limit):
    env = make(max_episode_steps=limit)
    for _ in range(2):
        env.reset()
        results = [env.step(IDLE) for _ in range(limit)]
        assert [r[3] for r in results] == [False] * (limit - 1) + [True]
        assert results[-1][4]["end_reason"] == "time_limit"


def test_termination_comes_before_truncation():
    env = make(max_episode_steps=1)
    env.reset(seed=0)
    _, _, terminated, truncated, info = env.step(CRASH)
    assert (terminated, truncated, info["end_reason"]) == (True, False, "collision")


def test_uncertainty_bound_can_be_moved_and_lifted():
    for bound, stops in ((float("inf"), False), (8.0, False), (0.2, True)):
        env = make(uncertainty_bound=bound)
        env.reset(seed=0)
        _, _, _, truncated, info = env.step(SURPRISE if not stops else IDLE)
        assert truncated is stops
        assert info["uncertainty"] == (0.25 if stops else 8.0)


def test_the_seed_decides_everything():
    env = make(ToyModel(risk=0.001))
    first, again, other = drive(env, 5), drive(env, 5), drive(make(ToyModel(risk=0.001)), 5)
    assert data_equivalence(first, again, exact=True)
    assert data_equivalence(first, other, exact=True)
    assert not data_equivalence(first, drive(env, 6), exact=True)
    starts = {env.reset(seed=s)[1]["context"] for s in range(40)}
    assert len(starts) > 15


def test_reset_without_a_seed_goes_on_with_the_generator():
    env = make()

    def contexts():
        return [env.reset(seed=3)[1]["context"]] + [env.reset()[1]["context"] for _ in range(6)]

    first = contexts()
    assert first == contexts()
    assert len(set(first)) > 3


def test_the_same_context_with_another_seed_has_another_future():
    env = make(NeuralToy())
    futures = []
    for seed in (1, 2):
        env.reset(seed=seed, options={"context": 0})
        futures.append([env.step(IDLE)[0]["bev"] for _ in range(10)])
    assert not np.array_equal(*futures)


def test_discrete_actions_mean_what_the_table_says():
    env = make(action_type="discrete")
    env.reset(seed=0)
    for i in (1, 5, 29):
        observation, *_ = env.step(i)
        assert np.array_equal(observation["ego"][2:4], DISCRETE_ACTIONS[i])


@pytest.mark.parametrize(
    "action",
    [[0.0], [0.0, 0.0, 0.0], [[0.0, 0.0]], [float("nan"), 0.0], [0.0, float("inf")], "left", None, [True, False], 0.5],
)
def test_bad_actions_are_refused_and_change_nothing(action):
    env = make()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action"):
        env.step(action)
    assert env.step(IDLE)[4]["imagined_steps"] == 1


@pytest.mark.parametrize("action", [30, -1, 1.0, [1], True])
def test_bad_discrete_actions_are_refused(action):
    env = make(action_type="discrete")
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action"):
        env.step(action)


def test_out_of_range_is_clipped():
    env = make()
    env.reset(seed=0)
    observation, *_ = env.step([-7.0, 3.0])
    assert observation["ego"][2:4].tolist() == [-1, 1]


def test_step_before_reset():
    env = make()
    for call in (lambda: env.step(IDLE), env.snapshot, lambda: env.branch(2)):
        with pytest.raises(ResetNeeded, match="reset"):
            call()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"obs_type": "dicts"}, "unknown obs_type 'dicts'. Did you mean 'dict'?"),
        ({"action_type": "discret"}, "Did you mean 'discrete'?"),
        ({"render_mode": "rgb"}, "Did you mean 'rgb_array'?"),
        ({"dtype": "float16"}, "unknown dtype 'float16'"),
        ({"temperature": -1.0}, "temperature -1.0"),
        ({"max_episode_steps": 0}, "max_episode_steps 0"),
    ],
)
def test_wrong_arguments(settings, message):
    with pytest.raises(ValueError) as raised:
        make(**settings)
    assert message in str(raised.value)


def test_nothing_returned_is_shared():
    env = make()
    kept = [env.reset(seed=0)] + [(r[0], r[4]) for r in (env.step(IDLE) for _ in range(3))]
    copies = [(o["bev"].copy(), i["ego_motion"].copy()) for o, i in kept]
    for observation, info in kept:
        observation["bev"][:] += 1
        info["ego_motion"][:] += 1
    expected = [env.reset(seed=0)] + [(r[0], r[4]) for r in (env.step(IDLE) for _ in range(3))]
    for (bev, motion), (observation, info) in zip(copies, expected):
        assert np.array_equal(bev, observation["bev"])
        assert np.array_equal(motion, info["ego_motion"])


def test_rgb_array_is_the_view():
    env = make(render_mode="rgb_array")
    with pytest.raises(ResetNeeded, match="nothing to be seen"):
        env.render()
    observation, _ = env.reset(seed=0)
    assert np.array_equal(env.render(), observation["bev"])
    observation, *_ = env.step(IDLE)
    assert np.array_equal(env.render(), observation["bev"])


def test_window_survives_being_closed():
    pygame = pytest.importorskip("pygame", reason="render mode 'human' needs the extra [viewer]")
    env = make(render_mode="human")
    env.reset(seed=0)
    assert pygame.display.get_surface() is not None
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    env.step(IDLE)
    assert pygame.display.get_surface() is None
    env.step(IDLE)
    assert env.render() is None
    env.close()
    env.close()
