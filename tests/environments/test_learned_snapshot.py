"""Going back and branching off: `snapshot`, `restore` and `branch`."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv
from tests.toy_model import CRASH, IDLE, NeuralToy, ToyModel, toy_checkpoint

PLAN = np.random.default_rng(0).uniform(-0.9, 0.9, (40, 2)).astype(np.float32)


def make(model=None, **settings):
    return LearnedDrivingEnv(toy_checkpoint(model or NeuralToy()), **settings)


@pytest.mark.parametrize("obs_type", ["dict", "latent"])
def test_replay_is_bit_identical(obs_type):
    env = make(obs_type=obs_type)
    env.reset(seed=0)
    for action in PLAN[:10]:
        moment = env.step(action)
    saved = pickle.loads(pickle.dumps(env.snapshot()))
    first = [env.step(action) for action in PLAN[10:]]
    for other in (env, make(obs_type=obs_type)):
        observation, info = other.restore(saved)
        assert data_equivalence((observation, info), (moment[0], moment[4]), exact=True)
        assert data_equivalence([other.step(action) for action in PLAN[10:]], first, exact=True)


def test_snapshots_of_looking_and_blind_environments_mix():
    blind, looking = make(obs_type="latent"), make()
    blind.reset(seed=3)
    for action in PLAN[:5]:
        blind.step(action)
    looking.restore(blind.snapshot())
    for action in PLAN[5:9]:
        blind.step(action), looking.step(action)
    assert np.array_equal(blind.episodes.observe(np.array([0]))[0], looking.snapshot()["state"]["h"])


def test_a_snapshot_is_small_and_plain():
    env = make()
    env.reset(seed=0)

    def plain(value):
        if isinstance(value, dict):
            return all(map(plain, value.values()))
        return value is None or isinstance(value, int | str | np.ndarray | np.generic)

    assert plain(env.snapshot())
    size = len(pickle.dumps(env.snapshot()))
    assert size < 10_000
    for action in PLAN:
        env.step(action)
    assert abs(len(pickle.dumps(env.snapshot())) - size) < 100


def test_totals_and_time_limit_go_along():
    env = make(max_episode_steps=10)
    env.reset(seed=0)
    rewards = [env.step(action)[1] for action in PLAN[:6]]
    saved = env.snapshot()
    assert saved["record"]["reward_total"] == pytest.approx(sum(rewards))
    env.reset()
    env.restore(saved)
    assert [env.step(IDLE)[3] for _ in range(4)] == [False, False, False, True]


def test_an_ended_episode_is_restored_as_ended():
    env = make()
    env.reset(seed=0)
    env.step(CRASH)
    saved = env.snapshot()
    env.reset()
    _, info = env.restore(saved)
    assert info["end_reason"] == "collision"
    with pytest.raises(Exception, match="reset"):
        env.step(IDLE)


def test_a_snapshot_of_another_checkpoint_is_refused():
    env, other = make(), LearnedDrivingEnv(toy_checkpoint(NeuralToy(), fingerprint="other"))
    env.reset(seed=0)
    other.reset(seed=0)
    saved = env.snapshot()
    for call in (other.restore, lambda s: other.reset(options={"snapshot": s})):
        with pytest.raises(ValueError, match="belongs to checkpoint toy"):
            call(saved)
    with pytest.raises(ValueError, match="other"):
        LearnedDrivingVectorEnv(2, other.checkpoint).restore(0, saved)


def test_branches_differ_by_their_actions_alone():
    env = make(ToyModel())
    env.reset(seed=0)
    env.step(IDLE)
    branches = env.branch(3)
    _, rewards, *_ = branches.step(np.array([IDLE, [0, 0.5], IDLE], np.float32))
    observations, again, terminations, _, infos = branches.step(np.array([IDLE, IDLE, CRASH]))
    expected = [env.step(IDLE), env.step(IDLE)]
    assert rewards.tolist() == [expected[0][1], expected[0][1] + 0.5, expected[0][1]]
    assert terminations.tolist() == [False, False, True]
    assert again[0] == expected[1][1]
    assert np.array_equal(observations["bev"][0], expected[1][0]["bev"])
    assert np.array_equal(observations["bev"][0], observations["bev"][1]), "the same chance for all"
    assert infos["imagined_steps"].tolist() == [3, 3, 3]
    assert len(branches.render()) == 3


def test_branches_with_seeds_of_their_own():
    env = make(ToyModel(), obs_type="latent")
    env.reset(seed=0)
    branches = env.branch(4, seeds=[1, 2, 1, 3])
    wander = branches.step(np.zeros((4, 2), np.float32))[0][:, 1]
    assert wander[0] == wander[2]
    assert len(set(wander)) == 3
    with pytest.raises(ValueError, match="2 seeds for 4 rows"):
        env.branch(4, seeds=[1, 2])


def test_rows_of_a_vector_are_saved_restored_and_branched():
    many = LearnedDrivingVectorEnv(3, toy_checkpoint(ToyModel()), obs_type="latent", action_type="discrete")
    one = make(ToyModel(), obs_type="latent", action_type="discrete")
    many.reset(seed=[4, 5, 6])
    many.step(np.array([1, 2, 3]))
    saved = many.snapshot(2)
    observation, info = many.restore(0, saved)
    assert data_equivalence((observation, info), one.restore(saved), exact=True)
    observations, *_ = many.step(np.array([7, 7, 7]))
    assert np.array_equal(observations[0], observations[2])
    assert np.array_equal(observations[0], one.step(7)[0])
    assert not np.array_equal(observations[0], observations[1])
    branches = many.branch(1, 2)
    assert branches.single_action_space == many.single_action_space
    many_next, *_ = many.step(np.array([0, 1, 2]))
    assert np.array_equal(branches.step(np.array([1, 1]))[0], many_next[[1, 1]])
