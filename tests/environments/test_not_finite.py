"""A model, or a simulator, that gives numbers which are not finite ends the episode, and says so."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode

from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv
from learned_sim_env.spec import FAILURES, TERMINATIONS, TRUNCATIONS
from learned_sim_env.world_model.checkpoint import from_pretrained
from tests.toy_model import IDLE, NeuralToy, ToyModel, toy_checkpoint

BREAK = np.array([0.125, 0.5], np.float32)
HEADS = ("ego", "motion", "terms", "events", "uncertainty", "features")


class Breaking(ToyModel):
    """Says something that is not finite after the action `BREAK`."""

    def __init__(self, head: str, value: float = np.nan):
        super().__init__()
        self.head, self.value = head, value

    def decode(self, state):
        heads = super().decode(state)
        heads[self.head][(state["action"] == torch.from_numpy(BREAK)).all(1)] = self.value
        return heads


@pytest.mark.parametrize("obs_type", ["dict", "latent"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_truncates(obs_type, head, value):
    env = LearnedDrivingEnv(toy_checkpoint(Breaking(head, value)), obs_type=obs_type, uncertainty_bound=float("inf"))
    env.reset(seed=0)
    before, *_, told = env.step(IDLE)
    with pytest.warns(UserWarning, match="not finite in row 0, step 2"):
        observation, reward, terminated, truncated, info = env.step(BREAK)
    assert (reward, terminated, truncated, info["end_reason"]) == (0.0, False, True, "not_finite")
    assert (info["cost"], info["uncertainty"], info["ego_motion"].any()) == (0.0, told["uncertainty"], False)
    assert set(info["reward_terms"].values()) == {0.0}
    assert observation in env.observation_space
    assert data_equivalence(observation, before, exact=True), "what was observed last"
    with pytest.raises(ResetNeeded):
        env.step(IDLE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env.reset()
        assert env.step(BREAK)[4]["end_reason"] == "not_finite"


@pytest.mark.parametrize("mode", AutoresetMode)
def test_other_rows_of_a_vector_go_on(mode):
    envs = LearnedDrivingVectorEnv(3, toy_checkpoint(Breaking("ego")), autoreset_mode=mode)
    calm = LearnedDrivingVectorEnv(3, toy_checkpoint(), autoreset_mode=mode)
    for env in (envs, calm):
        env.reset(seed=0)
    with pytest.warns(UserWarning, match="row 1, step 1"):
        observations, rewards, terminated, truncated, infos = envs.step(np.stack([IDLE, BREAK, IDLE]))
    expected = calm.step(np.stack([IDLE, IDLE, IDLE]))
    assert (terminated.tolist(), truncated.tolist()) == ([False] * 3, [False, True, False])
    final = infos["final_info"] if mode is AutoresetMode.SAME_STEP else infos
    assert final["end_reason"][1] == "not_finite" and rewards[1] == 0
    assert observations in envs.observation_space
    for i in (0, 2):
        assert np.array_equal(observations["bev"][i], expected[0]["bev"][i]) and rewards[i] == expected[1][i]
    if mode is AutoresetMode.NEXT_STEP:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            *_, infos = envs.step(np.stack([IDLE, BREAK, IDLE]))
        assert infos["imagined_steps"].tolist() == [2, 0, 2], "it begins anew"


def test_in_branches_as_well():
    env = LearnedDrivingEnv(toy_checkpoint(Breaking("events")))
    env.reset(seed=0)
    env.step(IDLE)
    with pytest.warns(UserWarning, match="not finite"):
        *_, truncated, infos = env.branch(2).step(np.stack([BREAK, IDLE]))
    assert truncated.tolist() == [True, False] and infos["end_reason"].tolist() == ["not_finite", ""]


@pytest.mark.parametrize("obs_type", ["dict", "latent"])
@pytest.mark.parametrize("where", ["h", "pose", "agent_pose"])
def test_the_shipped_model_in_a_state_that_is_not_finite(obs_type, where):
    env = LearnedDrivingEnv(from_pretrained("bev-rssm"), obs_type=obs_type)
    env.reset(seed=0)
    snapshot = env.snapshot()
    state = {**snapshot["state"], where: np.full_like(snapshot["state"][where], np.nan)}
    env.restore({**snapshot, "state": state})
    with pytest.warns(UserWarning, match="not finite"):
        observation, reward, terminated, truncated, info = env.step(IDLE)
    assert (reward, terminated, truncated, info["end_reason"]) == (0.0, False, True, "not_finite")
    assert observation in env.observation_space
    env.reset(seed=0)
    assert np.isfinite(env.step(IDLE)[1])


def test_it_says_nothing_about_the_driving():
    assert "not_finite" in FAILURES and set(FAILURES) < set(TRUNCATIONS)
    assert "not_finite" not in TERMINATIONS, "checkpoints stay valid"


@pytest.mark.parametrize("bound", [float("nan"), -1.0])
def test_a_bound_that_bounds_nothing_is_refused(bound):
    with pytest.raises(ValueError, match=f"uncertainty_bound {bound}"):
        LearnedDrivingEnv(toy_checkpoint(NeuralToy()), uncertainty_bound=bound)
    with pytest.raises(ValueError, match="max_episode_steps nan"):
        LearnedDrivingEnv(toy_checkpoint(NeuralToy()), max_episode_steps=float("nan"))
