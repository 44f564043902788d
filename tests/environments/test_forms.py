"""Observations as one vector: the same in a dream and in its twin, and by id, for scripts that take only an id."""

from __future__ import annotations

from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from learned_sim_env.drivers.ray_features import LAG
from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv
from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.registration import declarations
from learned_sim_env.reinforcement.latent import LatentObservation
from learned_sim_env.reinforcement.vector_wrappers import VectorRayObservation
from learned_sim_env.reinforcement.wrappers import RayObservation
from learned_sim_env.simulators import SIMULATORS
from learned_sim_env.spec import Contract
from learned_sim_env.twins.pairing import open_twin
from tests.toy_model import CRASH, IDLE, NeuralToy, ToyModel, toy_checkpoint

N = 3
LEARNED = [d.id for d in declarations().values() if d.backend == "learned"]


def dream(obs_type="dict", **settings):
    return LearnedDrivingEnv(toy_checkpoint(ToyModel(risk=0.05)), obs_type, max_episode_steps=9, **settings)


def twin(obs_type="dict", **settings):
    pytest.importorskip("cv2", reason="drawing roads needs OpenCV, which the simulators' extras bring")
    return TwinDrivingEnv("toy", obs_type=obs_type, **settings)


def same_episodes(env, other, episodes=2):
    for seed in range(episodes):
        assert data_equivalence(env.reset(seed=seed)[0], other.reset(seed=seed)[0], exact=True)
        rng, over = np.random.default_rng(seed), False
        for _ in range(30):
            action = rng.uniform((-0.3, 0.0), (0.3, 1.0)).astype(np.float32)
            (seen, *_, terminated, truncated, _), (too, *_) = env.step(action), other.step(action)
            assert data_equivalence(seen, too, exact=True)
            over = terminated or truncated
            if over:
                break


@pytest.mark.parametrize("make", [dream, twin])
def test_flat_is_ray_features(toy, make):
    assert make("flat").observation_space == RayObservation(make()).observation_space
    same_episodes(make("flat"), RayObservation(make()))
    same_episodes(make("flat"), RayObservation(make("classes")))


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_flat_rows_are_ray_features(mode):
    settings = {"max_episode_steps": 9, "autoreset_mode": mode}
    checkpoint = toy_checkpoint(ToyModel(risk=0.05))
    envs = [
        LearnedDrivingVectorEnv(N, checkpoint, "flat", **settings),
        VectorRayObservation(LearnedDrivingVectorEnv(N, checkpoint, "classes", **settings)),
        SyncVectorEnv([lambda: dream("flat")] * N, autoreset_mode=mode),
    ]
    first = [env.reset(seed=3)[0] for env in envs]
    for step in range(25):
        actions = np.stack([CRASH if i == step % 6 else IDLE for i in range(N)])
        results = [env.step(actions) for env in envs]
        over = results[0][2] | results[0][3]
        for a, b in pairwise(results):
            assert data_equivalence(a[:4], b[:4], exact=True)
            for i in np.flatnonzero(over) if "final_obs" in a[4] else ():
                assert np.array_equal(a[4]["final_obs"][i], b[4]["final_obs"][i])
        if mode is AutoresetMode.DISABLED and over.any():
            again = [env.reset(options={"reset_mask": over})[0] for env in envs]
            assert data_equivalence(again[0], again[1], exact=True) and data_equivalence(again[1], again[2], exact=True)
    assert all(np.array_equal(first[0], other) for other in first[1:])


def test_flat_remembers_across_snapshots_and_branches():
    env = LearnedDrivingEnv(toy_checkpoint(NeuralToy()), "flat")
    env.reset(seed=0)
    for _ in range(LAG + 2):
        env.step(IDLE)
    snapshot, branches = env.snapshot(), env.branch(2)
    after = [env.step(IDLE)[0] for _ in range(LAG + 2)]
    seen, _ = env.restore(snapshot)
    assert np.array_equal(seen, LearnedDrivingEnv(toy_checkpoint(NeuralToy()), "flat").restore(snapshot)[0])
    for observation in after:
        assert np.array_equal(env.step(IDLE)[0], observation)
        assert np.array_equal(branches.step(np.stack([IDLE, IDLE]))[0], [observation] * 2)


def test_flat_begins_anew_where_a_snapshot_knows_no_past():
    plain = LearnedDrivingEnv(toy_checkpoint(NeuralToy()))
    plain.reset(seed=0)
    observation, *_ = plain.step(IDLE)
    flat = LearnedDrivingEnv(toy_checkpoint(NeuralToy()), "flat")
    wrapped = RayObservation(plain)
    assert np.array_equal(flat.restore(plain.snapshot())[0], wrapped.observation(observation))


def test_latents_of_a_twin_are_filtered(toy):
    checkpoint = toy_checkpoint(NeuralToy())
    env = twin("latent", checkpoint=checkpoint)
    assert env.observation_space == LearnedDrivingEnv(checkpoint, "latent").observation_space
    same_episodes(env, LatentObservation(twin(), checkpoint))


def test_latents_need_a_model_of_the_same_contract(toy):
    with pytest.raises(ValueError, match="name its checkpoint, as in 'bev-rssm'"):
        twin("latent")
    other = toy_checkpoint(ToyModel(contract=Contract(name="other", max_episode_steps=7)))
    with pytest.raises(ValueError, match=r"made for another task .* than contract 'driving'"):
        twin("latent", checkpoint=other)


@pytest.mark.parametrize("env_id", LEARNED)
def test_by_id(env_id):
    env = gym.make(env_id)
    form = declarations()[env_id].form
    assert isinstance(env.observation_space, gym.spaces.Dict if form[0] == "dict" else gym.spaces.Box)
    assert isinstance(env.action_space, gym.spaces.Box if form[1] == "continuous" else gym.spaces.Discrete)
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    env.action_space.seed(0)
    assert env.step(env.action_space.sample())[0] in env.observation_space
    envs = gym.make_vec(env_id, 2)
    assert (envs.single_observation_space, envs.single_action_space) == (env.observation_space, env.action_space)


@pytest.mark.parametrize(
    "env_id", ["LearnedDrivingFlatDiscrete-v0", "LearnedDrivingLatent-v0", "LearnedDrivingCameraLatent-v0"]
)
def test_what_is_learned_under_an_id_fits_the_twins(env_id):
    pytest.importorskip("metadrive", reason="needs the extra [metadrive]")
    env = gym.make(env_id)
    twin = gym.make(declarations()[env_id].twin)
    assert (twin.observation_space, twin.action_space) == (env.observation_space, env.action_space)
    observation, _ = twin.reset(seed=0)
    assert observation in env.observation_space
    twin.action_space.seed(0)
    for _ in range(3):
        assert twin.step(twin.action_space.sample())[0] in env.observation_space
    twin.close()


def test_another_simulator_of_the_same_form(toy, monkeypatch):
    monkeypatch.setitem(SIMULATORS, "metadrive", "tests.toy_simulator:ToySimulator")
    for env_id in ("LearnedDriving-v0", "LearnedDrivingFlatDiscrete-v0"):
        found = open_twin(env_id, "metadrive", isolate=False)
        assert (found.obs_type, found.action_type) == declarations()[env_id].form
