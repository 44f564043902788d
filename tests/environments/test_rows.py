"""`call`, `get_attr` and `set_attr` mean what they mean in Gymnasium's own vector environments."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import SyncVectorEnv

from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv
from tests.toy_model import IDLE, NeuralToy, toy_checkpoint

N = 3


@pytest.fixture
def pair():
    """Ours, and Gymnasium's over single ones, at the same moment."""
    checkpoint, settings = toy_checkpoint(NeuralToy()), {"render_mode": "rgb_array", "obs_type": "latent"}
    ours = LearnedDrivingVectorEnv(N, checkpoint, **settings)
    theirs = SyncVectorEnv([lambda: LearnedDrivingEnv(checkpoint, **settings)] * N)
    for env in (ours, theirs):
        env.reset(seed=3)
        env.step(np.stack([IDLE] * N))
    return ours, theirs


def test_frames_one_a_row(pair):
    ours, theirs = (env.call("render") for env in pair)
    assert isinstance(ours, tuple) and len(ours) == N
    assert data_equivalence(ours, theirs, exact=True)
    assert LearnedDrivingVectorEnv(2, toy_checkpoint()).call("render") == (None, None)


def test_attributes_one_a_row(pair):
    ours, theirs = pair
    for name in ("render_mode", "action_type", "observation_space", "action_space", "contract", "np_random_seed"):
        assert ours.get_attr(name) == theirs.get_attr(name), name
    for mine, other in zip(ours.get_attr("np_random"), theirs.get_attr("np_random")):
        assert mine.bit_generator.state == other.bit_generator.state


def test_what_is_called_for_each_row(pair):
    ours, theirs = pair
    snapshots = ours.call("snapshot")
    assert data_equivalence(snapshots, theirs.call("snapshot"))
    observations = [observation for observation, _ in ours.call("restore", snapshots[1])]
    for observation, (other, _) in zip(observations, theirs.call("restore", snapshots[1])):
        assert np.array_equal(observation, other)
    assert [branches.num_envs for branches in ours.call("branch", 2)] == [2] * N


def test_attributes_are_set(pair):
    for env in pair:
        env.set_attr("level", [1, 2, 3])
        assert env.get_attr("level") == (1, 2, 3)
        env.set_attr("level", 4)
        env.set_attr("render_mode", None)
        assert (env.get_attr("level"), env.get_attr("render_mode")) == ((4,) * N, (None,) * N)
        assert env.call("render") == (None,) * N
        with pytest.raises(ValueError, match=r"2.* values .*3"):
            env.set_attr("level", [1, 2])


def test_what_rows_share_cannot_differ(pair):
    ours, _ = pair
    with pytest.raises(ValueError, match="rows share 'render_mode'"):
        ours.set_attr("render_mode", ["human", None, None])
    with pytest.raises(AttributeError, match="'action_space' cannot be set"):
        ours.set_attr("action_space", None)
    for name in ("step", "reset", "_window"):
        with pytest.raises(AttributeError, match="use the vector environment's"):
            ours.call(name)
    with pytest.raises(AttributeError, match="rendermode"):
        ours.get_attr("rendermode")
