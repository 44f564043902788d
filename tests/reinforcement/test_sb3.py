"""Stable-Baselines3 sees of a batch what it sees of single environments, and learns on it."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv
from tests.toy_model import CRASH, ToyModel, toy_checkpoint

sb3 = pytest.importorskip("stable_baselines3", reason="needs the extra [rl]")
from stable_baselines3.common.monitor import Monitor  # noqa: E402
from stable_baselines3.common.vec_env import DummyVecEnv  # noqa: E402

from learned_sim_env.reinforcement.sb3 import Sb3VecEnv  # noqa: E402
from learned_sim_env.reinforcement.vector_wrappers import VectorRayObservation  # noqa: E402


def rows(n, mode=AutoresetMode.SAME_STEP, **settings):
    return LearnedDrivingVectorEnv(n, toy_checkpoint(ToyModel(risk=0.05)), autoreset_mode=mode, **settings)


def test_equals_stable_baselines3s_own_over_single_environments():
    n, settings = 5, {"obs_type": "latent", "max_episode_steps": 9}
    ours = Sb3VecEnv(rows(n, **settings))
    theirs = DummyVecEnv([lambda: Monitor(LearnedDrivingEnv(toy_checkpoint(ToyModel(risk=0.05)), **settings))] * n)
    assert ours.observation_space == theirs.observation_space and ours.action_space == theirs.action_space
    ours.seed(3), theirs.seed(3)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    rng, ended, cut = np.random.default_rng(0), 0, 0
    for _ in range(60):
        actions = rng.uniform(-0.9, 0.9, (n, 2)).astype(np.float32)
        a, b = ours.step(actions), theirs.step(actions)
        for mine, other in zip(a[:3], b[:3]):
            np.testing.assert_array_equal(mine, other)
        for i, over in enumerate(a[2]):
            if not over:
                assert a[3][i] == {}
                continue
            mine, other = a[3][i], b[3][i]
            np.testing.assert_array_equal(mine["terminal_observation"], other["terminal_observation"])
            assert mine["TimeLimit.truncated"] == other["TimeLimit.truncated"]
            assert mine["episode"]["r"] == pytest.approx(other["episode"]["r"], abs=1e-5)
            assert mine["episode"]["l"] == other["episode"]["l"]
            assert mine["end_reason"] == other["end_reason"] and mine["cost"] == other["cost"]
            ended, cut = ended + 1, cut + mine["TimeLimit.truncated"]
    assert ended > cut > 0


def test_costs_are_summed():
    env = Sb3VecEnv(rows(2, obs_type="latent"))
    # Only who steers into somebody is to crash.
    env.env.episodes.checkpoint.model.risk = 0.0
    env.reset()
    *_, infos = env.step(np.array([CRASH, (0, 0)], np.float32))
    assert infos[0]["episode"]["c"] == infos[0]["cost"] == 1.0
    assert infos[0]["end_reason"] == "collision" and infos[1] == {}
    assert env.batch_infos["cost"].shape == (2,)


def calls_of_a_step(n):
    env = Sb3VecEnv(rows(n, obs_type="latent", max_episode_steps=500))
    env.env.episodes.checkpoint.model.risk = 0.0
    env.reset()
    actions = np.zeros((n, 2), np.float32)
    env.step(actions)
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        env.step(actions)
    finally:
        sys.setprofile(None)
    return calls


def test_a_step_costs_as_many_calls_for_many_rows_as_for_few():
    assert calls_of_a_step(64) == calls_of_a_step(4)


@pytest.mark.parametrize(
    ("algorithm", "policy", "obs_type", "settings"),
    [
        ("PPO", "MultiInputPolicy", "dict", {"n_steps": 4, "batch_size": 8, "n_epochs": 1}),
        ("PPO", "MlpPolicy", "latent", {"n_steps": 4, "batch_size": 8, "n_epochs": 1}),
        ("SAC", "MlpPolicy", "latent", {"buffer_size": 64, "learning_starts": 8, "batch_size": 8}),
    ],
)
def test_algorithms_learn_on_it(algorithm, policy, obs_type, settings):
    env = Sb3VecEnv(rows(4, obs_type=obs_type, max_episode_steps=3))
    model = getattr(sb3, algorithm)(policy, env, seed=0, device="cpu", **settings)
    before = {name: value.clone() for name, value in model.policy.state_dict().items()}
    model.learn(32)
    assert model.num_timesteps >= 32 and len(model.ep_info_buffer) > 0
    assert any((before[name] != value).any() for name, value in model.policy.state_dict().items())
    assert env.seconds > 0


def test_other_modes_are_refused_and_rows_have_nothing_of_their_own():
    with pytest.raises(ValueError, match='autoreset_mode="SameStep"'):
        Sb3VecEnv(rows(2, AutoresetMode.NEXT_STEP))
    env = Sb3VecEnv(rows(3, render_mode="rgb_array"))
    env.reset()
    assert [image.shape for image in env.get_images()] == [(64, 64, 3)] * 3
    assert env.get_attr("num_envs", [0, 2]) == [3, 3]
    assert env.env_is_wrapped(Monitor) == [False] * 3
    env.set_attr("x", 1)
    assert env.env.get_attr("x") == (1, 1, 1)
    assert [image.shape for image in env.env_method("render")] == [(64, 64, 3)] * 3
    for call in (lambda: env.set_attr("x", 1, [0, 2]), lambda: env.env_method("render", indices=1)):
        with pytest.raises(AttributeError, match="rows share one environment"):
            call()


def test_options_reach_the_environment():
    env = Sb3VecEnv(rows(3, obs_type="latent"))
    env.set_options({"context": 6})
    env.reset()
    assert env.batch_infos["context"].tolist() == [6, 6, 6]


def test_each_row_has_its_own_options():
    plan = [{"context": 3}, {}, {"context": 5}, {"context": 3}, {"scenario": "curve"}]
    envs = [Sb3VecEnv(rows(5, obs_type="latent")), Sb3VecEnv(rows(5, obs_type="latent"))]
    theirs = DummyVecEnv([lambda: LearnedDrivingEnv(toy_checkpoint(ToyModel(risk=0.05)), obs_type="latent")] * 5)
    seen = []
    for env in (*envs, theirs):
        env.seed(4)
        env.set_options(plan)
        seen.append(env.reset())
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[0], seen[2])
    contexts = envs[0].batch_infos["context"]
    assert contexts.tolist() == [info["context"] for info in theirs.reset_infos]
    assert contexts[[0, 2, 3]].tolist() == [3, 5, 3] and contexts[4] % 2 == 0
    assert envs[0].batch_infos["_context"].all()
    envs[0].reset()
    assert len(set(envs[0].batch_infos["context"].tolist())) > 2, "options hold for one reset"
    envs[0].set_options(plan[:2])
    with pytest.raises(ValueError, match="2 options for 5 rows"):
        envs[0].reset()


def test_each_row_of_separate_environments_has_its_own_options():
    def one():
        return LearnedDrivingEnv(toy_checkpoint())

    separate = SyncVectorEnv([one] * 3, autoreset_mode=AutoresetMode.SAME_STEP)
    together = LearnedDrivingVectorEnv(3, toy_checkpoint(), autoreset_mode=AutoresetMode.SAME_STEP)
    seen = []
    for batch in (separate, together):
        env = Sb3VecEnv(VectorRayObservation(batch))
        env.seed(0)
        env.set_options([{"context": 7}, {"context": 8}, {"context": 7}])
        seen.append([env.reset()])
        assert env.batch_infos["context"].tolist() == [7, 8, 7]
        seen[-1] += [env.step(np.zeros((3, 2), np.float32))[0] for _ in range(3)]
    np.testing.assert_array_equal(seen[0], seen[1])
