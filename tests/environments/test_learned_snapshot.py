"""Going back and branching off: `snapshot`, `restore` and `branch`."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv
from learned_sim_env.world_model.checkpoint import from_pretrained
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


def test_snapshots_of_the_first_format_are_read():
    env = make()
    env.reset(seed=3)
    env.step(IDLE)
    saved = env.snapshot()
    first = {**without(saved, "drawn"), "format": 1, "view": saved["drawn"]["bev"]}
    after = env.step(IDLE)[0]
    for some in (first, {**first, "view": None}):
        env.restore(some)
        assert np.array_equal(env.step(IDLE)[0]["bev"], after["bev"])


def without(snapshot, *path):
    """A copy of nested dicts without one entry."""
    name, *rest = path
    if not rest:
        return {key: value for key, value in snapshot.items() if key != name}
    return {**snapshot, name: without(snapshot[name], *rest)}


def changed(snapshot, value, *path):
    """A copy with another entry."""
    name, *rest = path
    return {**snapshot, name: changed(snapshot[name], value, *rest) if rest else value}


REFUSED = [
    (lambda s: 3, "not int"),
    *(
        (lambda s, name=name: without(s, name), f"lacks '{name}'")
        for name in ("state", "drawn", "seed", "step", "record")
    ),
    (lambda s: without(s, "format"), "has format None, this package reads 2"),
    (lambda s: changed(s, 3, "format"), "has format 3"),
    (lambda s: changed(s, 0, "colour"), "unknown name in the snapshot: 'colour'"),
    *((lambda s, name=name: without(s, "state", name), f"state lacks '{name}'") for name in ("h", "z", "ink")),
    (lambda s: changed(s, np.zeros(3), "state", "g"), "unknown name in the snapshot's state: 'g'"),
    (lambda s: changed(s, None, "state"), "state is NoneType, not a dict"),
    (lambda s: changed(s, np.zeros(31, np.float32), "state", "h"), r"state\['h'\].*shape \(31,\), expected .*\(32,\)"),
    (lambda s: changed(s, np.zeros(32), "state", "h"), r"state\['h'\].*float64.*expected float32"),
    *(
        (lambda s, name=name: without(s, "record", name), f"record lacks '{name}'")
        for name in ("end", "ego", "context", "reward_total", "started")
    ),
    (
        lambda s: changed(s, np.zeros(5, np.float32), "record", "ego"),
        r"record\['ego'\].*expected float32.*\(6,\)",
    ),
    (lambda s: changed(s, np.full(6, np.nan, np.float32), "record", "ego"), r"record\['ego'\].*not finite"),
    (lambda s: changed(s, np.int8(99), "record", "end"), r"record\['end'\].*99, not an integer from -1 to 6"),
    (lambda s: changed(s, np.int64(40), "record", "context"), r"record\['context'\].*40, not an integer from -1 to 39"),
    (lambda s: changed(s, 1.5, "seed"), "seed is 1.5, not an integer"),
    (lambda s: changed(s, 2**64, "seed"), "not an integer from"),
    (lambda s: changed(s, -1, "step"), "step is -1"),
    (
        lambda s: changed(s, np.zeros((32, 32), np.uint8), "drawn", "bev"),
        r"drawn\['bev'\] .* is uint8 of shape \(32, 32\)",
    ),
    (lambda s: changed(s, np.full((64, 64), 9, np.uint8), "drawn", "bev"), "of the snapshot holds 9"),
    (lambda s: changed(s, {}, "drawn", "front"), "unknown name in what the snapshot has drawn: 'front'"),
]


@pytest.mark.parametrize(("spoil", "message"), REFUSED)
def test_a_snapshot_is_whole_or_refused_and_then_nothing_is_lost(spoil, message):
    def going_on(env, *refused):
        env.reset(seed=0, options={"context": 3})
        found = [env.step(IDLE)]
        for snapshot in refused:
            with pytest.raises(ValueError, match=message):
                env.restore(snapshot)
        return [*found, *(env.step(action) for action in PLAN[:3]), env.snapshot()]

    env = make()
    env.reset(seed=5)
    env.step(PLAN[0])
    snapshot = spoil(env.snapshot())
    assert data_equivalence(going_on(make(), snapshot), going_on(make()), exact=True)
    many = LearnedDrivingVectorEnv(2, env.checkpoint)
    many.reset(seed=0)
    for call in (lambda: many.restore(1, snapshot), lambda: env.reset(options={"snapshot": snapshot})):
        with pytest.raises(ValueError, match=message):
            call()
    assert many.step(PLAN[:2])[4]["imagined_steps"].tolist() == [1, 1]


def test_the_shipped_models_snapshots_are_whole():
    env = LearnedDrivingEnv(from_pretrained("bev-rssm"))
    other = LearnedDrivingEnv(env.checkpoint, dtype="bfloat16")
    env.reset(seed=0)
    saved = pickle.loads(pickle.dumps(env.snapshot()))
    other.restore(saved)
    for name in saved["state"]:
        with pytest.raises(ValueError, match=f"lacks '{name}'"):
            env.restore(without(saved, "state", name))


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
