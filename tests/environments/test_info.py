"""Infos in numbers alone, of single environments and of vectors of them, and what reads them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from learned_sim_env.environments.info import numeric
from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv
from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.reinforcement.vector_wrappers import VectorRayObservation, VectorSpeedLimit
from learned_sim_env.reinforcement.wrappers import SpeedLimit
from learned_sim_env.spec import COST_TERMS, INFO_KEYS, REWARD_TERMS, SCENARIO_TAGS, TERMINATIONS, TRUNCATIONS
from tests.toy_model import CRASH, IDLE, NeuralToy, ToyModel, toy_checkpoint

ENDS = (*TERMINATIONS, *TRUNCATIONS)
SHAPES = {
    "reward_terms": ((len(REWARD_TERMS),), np.float32),
    "cost": ((), np.float64),
    "cost_terms": ((len(COST_TERMS),), np.float32),
    "end_reason": ((), np.int64),
    "uncertainty": ((), np.float64),
    "ego_motion": ((3,), np.float32),
    "imagined_steps": ((), np.int64),
    "context": ((), np.int64),
    "scenario_tags": ((len(SCENARIO_TAGS),), np.bool_),
}


def dream(**settings):
    return LearnedDrivingEnv(toy_checkpoint(NeuralToy()), max_episode_steps=4, **settings)


def twin(**settings):
    return TwinDrivingEnv("toy", max_episode_steps=4, **settings)


@pytest.fixture(params=[dream, twin], ids=["dream", "twin"])
def make(request):
    if request.param is twin:
        pytest.importorskip("cv2", reason="drawing roads needs OpenCV, which the simulators' extras bring")
        request.getfixturevalue("toy")
    return request.param


def test_numbers_alone_and_always_of_the_same_shapes(make):
    env, plain = make(info_type="numeric"), make()
    infos = [(env.reset(seed=1)[1], plain.reset(seed=1)[1])]
    infos += [(env.step(IDLE)[4], plain.step(IDLE)[4]) for _ in range(4)]
    for info, full in infos:
        assert {key: (np.shape(value), value.dtype) for key, value in info.items()} == SHAPES
        assert list(info) == list(INFO_KEYS)
        assert info["reward_terms"] == pytest.approx(list(full["reward_terms"].values()))
        assert info["cost_terms"] == pytest.approx(list(full["cost_terms"].values()))
        assert info["end_reason"] == (ENDS.index(full["end_reason"]) if full["end_reason"] else -1)
        assert [t for t, has in zip(SCENARIO_TAGS, info["scenario_tags"]) if has] == list(full["scenario_tags"])
        for key in ("cost", "uncertainty", "imagined_steps", "context"):
            assert info[key] == full[key]
    assert infos[-1][0]["end_reason"] == ENDS.index("time_limit")


def test_cost_and_uncertainty_are_numpys_and_json_all_the_same(make):
    env = make()
    for info in (env.reset(seed=0)[1], env.step(IDLE)[4]):
        for key in ("cost", "uncertainty"):
            assert info[key].dtype == np.float64
            assert json.loads(json.dumps(info[key])) == info[key]


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_vector_of_them_says_the_same(mode):
    def make():
        return LearnedDrivingEnv(toy_checkpoint(ToyModel(risk=0.05)), max_episode_steps=9, info_type="numeric")

    settings = {"max_episode_steps": 9, "info_type": "numeric", "autoreset_mode": mode}
    ours = LearnedDrivingVectorEnv(4, toy_checkpoint(ToyModel(risk=0.05)), **settings)
    theirs = SyncVectorEnv([make] * 4, autoreset_mode=mode)
    assert data_equivalence(ours.reset(seed=3)[1], theirs.reset(seed=3)[1], exact=True)
    for step in range(20):
        actions = np.stack([CRASH if i == step % 7 else IDLE for i in range(4)])
        (*_, terminated, truncated, mine), (*_, others) = ours.step(actions), theirs.step(actions)
        over = terminated | truncated
        assert set(mine) == set(others)
        final, other = (infos.pop("final_info", {"end_reason": np.zeros(4)}) for infos in (mine, others))
        assert data_equivalence(
            {k: v[over] for k, v in final.items()}, {k: v[over] for k, v in other.items()}, exact=True
        )
        final, other = (infos.pop("final_obs", None) for infos in (mine, others))
        assert data_equivalence(mine, others, exact=True)
        if final is not None:
            for i in np.flatnonzero(over):
                assert np.array_equal(final["bev"][i], other[i]["bev"]) and np.array_equal(
                    final["ego"][i], other[i]["ego"]
                )
        if mode is AutoresetMode.DISABLED and over.any():
            ours.reset(options={"reset_mask": over}), theirs.reset(options={"reset_mask": over})


def test_what_was_never_an_info_is_left_out():
    full = dream().reset(seed=0)[1]
    assert list(numeric({**full, "town": "Town03", "weather": {"rain": 1.0}})) == list(INFO_KEYS)


def test_unknown_info_types_are_refused(make):
    with pytest.raises(ValueError, match=r"unknown info_type 'numeri'\. Did you mean 'numeric'"):
        make(info_type="numeri")
    with pytest.raises(ValueError, match=r"unknown info_type 'ful'\. Did you mean 'full'"):
        LearnedDrivingVectorEnv(2, toy_checkpoint(), info_type="ful")


def test_wrappers_read_both_kinds():
    def rewards(info_type):
        env = SpeedLimit(dream(info_type=info_type), 3.0)
        env.reset(seed=0)
        settings = {"max_episode_steps": 3, "info_type": info_type, "autoreset_mode": "SameStep"}
        envs = VectorRayObservation(
            VectorSpeedLimit(LearnedDrivingVectorEnv(2, toy_checkpoint(NeuralToy()), **settings), 3.0)
        )
        envs.reset(seed=0)
        steps = [envs.step(np.stack([IDLE, IDLE])) for _ in range(3)]
        return (
            [env.step(IDLE)[1] for _ in range(3)],
            [s[1].tolist() for s in steps],
            np.stack(steps[-1][4]["final_obs"]),
        )

    for full, numbers in zip(rewards("full"), rewards("numeric")):
        assert np.array_equal(full, numbers)
