"""Wrappers of single environments, and their vector forms, which say the same in every autoreset mode."""

from __future__ import annotations

from collections import Counter
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env, data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import TransformReward

from learned_sim_env.drivers.ray_features import LAG, SIZE, features
from learned_sim_env.drivers.route import follow
from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv
from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.reinforcement.latent import LatentObservation
from learned_sim_env.reinforcement.vector_wrappers import (
    VectorCostAsReward,
    VectorRayObservation,
    VectorSpeedLimit,
    VectorTargetActions,
    VectorUncertaintyPenalty,
)
from learned_sim_env.reinforcement.wrappers import (
    CostAsReward,
    Curriculum,
    DiscreteActions,
    RayObservation,
    SafetyGymnasium,
    SpeedLimit,
    TargetActions,
    UncertaintyPenalty,
    speeding,
)
from learned_sim_env.spec import DISCRETE_ACTIONS
from tests.toy_model import CRASH, IDLE, SURPRISE, NeuralToy, ToyModel, toy_checkpoint

N = 4


def dream(**settings):
    return LearnedDrivingEnv(toy_checkpoint(ToyModel(risk=0.05)), **settings)


@pytest.fixture
def twin(toy):
    env = TwinDrivingEnv("toy")
    yield env
    env.close()


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_vector_wrappers_equal_single_ones(mode):
    def single():
        env = SpeedLimit(dream(max_episode_steps=9), 3.0)
        penalised = UncertaintyPenalty(CostAsReward(env, 0.5), 2.0)
        return RayObservation(gym.wrappers.TransformReward(penalised, partial(np.multiply, 3.0)))

    native = LearnedDrivingVectorEnv(N, toy_checkpoint(ToyModel(risk=0.05)), max_episode_steps=9, autoreset_mode=mode)
    penalised = VectorUncertaintyPenalty(VectorCostAsReward(VectorSpeedLimit(native, 3.0), 0.5), 2.0)
    ours = VectorRayObservation(TransformReward(penalised, partial(np.multiply, 3.0)))
    theirs = SyncVectorEnv([single] * N, autoreset_mode=mode)
    assert ours.observation_space == theirs.observation_space
    assert data_equivalence(ours.reset(seed=3)[0], theirs.reset(seed=3)[0], exact=True)
    rng, ends = np.random.default_rng(0), Counter()
    for _ in range(50):
        actions = rng.uniform(-1, 1, (N, 2)).astype(np.float32)
        for i in np.flatnonzero(rng.random(N) < 0.1):
            actions[i] = (CRASH, SURPRISE)[rng.integers(2)]
        a, b = ours.step(actions), theirs.step(actions)
        for mine, other in zip(a[:4], b[:4]):
            assert data_equivalence(mine, other, exact=True)
        over = a[2] | a[3]
        assert ("final_obs" in a[4]) == ("final_obs" in b[4])
        for i in np.flatnonzero(over) if "final_obs" in a[4] else ():
            np.testing.assert_array_equal(a[4]["final_obs"][i], b[4]["final_obs"][i])
        ends.update(a[4].get("final_info", a[4])["end_reason"][over])
        if mode is AutoresetMode.DISABLED and over.any():
            options = {"reset_mask": over}
            assert data_equivalence(ours.reset(options=options)[0], theirs.reset(options=options)[0], exact=True)
    assert {"collision", "off_road", "uncertainty", "time_limit"} <= set(ends)


def test_ray_features_remember_as_far_as_they_say():
    env = RayObservation(dream())
    seen = [env.reset(seed=0)[0]]
    raw = [env.unwrapped.episodes.observe(np.array([0]))]
    for _ in range(LAG + 3):
        seen.append(env.step(IDLE)[0])
        raw.append(env.unwrapped.episodes.observe(np.array([0])))
    for t, found in enumerate(seen):
        now, earlier = ({k: v[0] for k, v in raw[i].items()} for i in (t, max(0, t - LAG)))
        np.testing.assert_array_equal(found, features(now, earlier))
        assert found.shape == (SIZE,) and found in env.observation_space


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_targets_are_carried_out_from_where_each_row_is(mode):
    native = LearnedDrivingVectorEnv(N, toy_checkpoint(ToyModel(risk=0.05)), max_episode_steps=5, autoreset_mode=mode)
    ours = VectorTargetActions(native)
    theirs = SyncVectorEnv([lambda: TargetActions(dream(max_episode_steps=5))] * N, autoreset_mode=mode)
    ego = ours.reset(seed=3)[0]["ego"]
    theirs.reset(seed=3)
    plain = LearnedDrivingVectorEnv(N, toy_checkpoint(ToyModel(risk=0.05)), max_episode_steps=5, autoreset_mode=mode)
    plain.reset(seed=3)
    rng = np.random.default_rng(0)
    for _ in range(12):
        targets = rng.uniform(-1, 1, (N, 2)).astype(np.float32)
        a, b, c = ours.step(targets), theirs.step(targets), plain.step(follow(targets, ego))
        for mine, other, carried in zip(a[:4], b[:4], c[:4]):
            assert data_equivalence(mine, other, exact=True) and data_equivalence(mine, carried, exact=True)
        ego, over = a[0]["ego"], a[2] | a[3]
        if mode is AutoresetMode.DISABLED and over.any():
            seen = [env.reset(options={"reset_mask": over})[0] for env in (ours, theirs, plain)]
            ego = seen[0]["ego"]


def test_ray_features_need_the_view_and_the_ego():
    for wrap, env in (
        (RayObservation, dream(obs_type="bev")),
        (TargetActions, dream(obs_type="bev")),
        (VectorRayObservation, LearnedDrivingVectorEnv(2, toy_checkpoint(), obs_type="latent")),
    ):
        with pytest.raises(ValueError, match=r'needs? observations of obs_type "dict"'):
            wrap(env)


def test_penalty_and_cost():
    plain, penalised, costly = dream(), UncertaintyPenalty(dream(), 3.0), CostAsReward(dream(), 7.0)
    for env in (plain, penalised, costly):
        env.reset(seed=0)
    for action in (IDLE, CRASH):
        _, reward, *_, info = plain.step(action)
        assert penalised.step(action)[1] == pytest.approx(reward - 3.0 * info["uncertainty"])
        assert costly.step(action)[1] == pytest.approx(reward - 7.0 * info["cost"])
    assert info["cost"] == 1.0 and info["uncertainty"] > 0


def test_above_the_limit_reward_falls_as_fast_as_it_rose():
    paid = {speed: speed / 15 - speeding(speed / 15, 9.0) for speed in (0.0, 8.0, 9.0, 10.0, 15.0)}
    assert paid[8.0] == pytest.approx(8 / 15) == paid[10.0]
    assert paid[9.0] == max(paid.values()) and paid[15.0] == pytest.approx(3 / 15)
    env, plain = SpeedLimit(dream(), 0.0), dream()
    env.reset(seed=1), plain.reset(seed=1)
    for _ in range(5):
        (_, reward, *_), (_, before, *_, info) = env.step(IDLE), plain.step(IDLE)
        assert reward == pytest.approx(before - 2 * max(info["reward_terms"]["progress"], 0))


def test_six_values_as_safety_gymnasium():
    env = SafetyGymnasium(dream())
    env.reset(seed=0)
    assert [env.step(action)[2] for action in (IDLE, CRASH)] == [0.0, 1.0]
    env.reset(seed=0)
    assert len(env.step(IDLE)) == 6


def test_discrete_actions_mean_what_they_say(twin):
    env = DiscreteActions(twin)
    env.reset(seed=0)
    observation, *_ = env.step(7)
    np.testing.assert_array_equal(observation["ego"][2:4], DISCRETE_ACTIONS[7])
    assert env.action_space == gym.spaces.Discrete(30)
    with pytest.raises(ValueError, match=r"\(n, 2\) numbers in \[-1, 1\]"):
        DiscreteActions(twin, np.array([[0.0, 2.0]]))


def test_frames_are_stacked_by_gymnasium():
    env = gym.wrappers.FrameStackObservation(RayObservation(dream()), 3)
    assert env.reset(seed=0)[0].shape == (3, SIZE)


def test_curriculum_changes_where_episodes_begin():
    env = Curriculum(dream(), {0: {"curve": 1.0}, 10: {"curve": 0.0, "straight": 0.0, "traffic": 1.0}})
    for seed in range(5):
        assert "curve" in env.reset(seed=seed)[1]["scenario_tags"]
    for _ in range(10):
        *_, terminated, truncated, _ = env.step(IDLE)
        if terminated or truncated:
            env.reset()
    with pytest.raises(ValueError, match=r"no context .* 'traffic'"):
        env.reset()
    assert env.reset(options={"context": 1})[1]["context"] == 1
    for stages, message in (
        ({5: {"curve": 1.0}}, "no stage begins at step 0"),
        ({0: {"curv": 1.0}}, "Did you mean 'curve'"),
        ({0: {"curve": 0.0}}, "one must be positive"),
    ):
        with pytest.raises(ValueError, match=message):
            Curriculum(dream(), stages)


@pytest.mark.parametrize("place", ["dream", "twin"])
def test_latents_are_filtered_from_what_is_seen(place, twin):
    checkpoint = toy_checkpoint(NeuralToy())
    env = LatentObservation(dream() if place == "dream" else twin, checkpoint)
    check_env(env, skip_render_check=True)
    model, state = checkpoint.model, checkpoint.model.initial(1)
    import torch

    observation, _ = env.reset(seed=0)
    action = env.env.ego_vector[2:4] if place == "twin" else env.env.episodes.records["ego"][0, 2:4]
    for t in range(4):
        h = torch.tanh(
            state["h"] @ model.matrix + torch.cat([torch.tensor(action)[None], torch.zeros(1, 2)], 1) @ model.input
        )
        np.testing.assert_allclose(observation, h[0].numpy(), atol=1e-6)
        state, action = {"h": h}, np.array([0.1 * t, 0.2], np.float32)
        observation, *_ = env.step(action)


def test_latents_need_pictures():
    with pytest.raises(ValueError, match='obs_type="dict"'):
        LatentObservation(dream(obs_type="bev"), toy_checkpoint())
