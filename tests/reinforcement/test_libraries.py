"""Other libraries take the environments as they are; each is skipped where it is absent: `make test-rl`."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch

import learned_sim_env  # noqa: F401  registers the ids
from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv
from learned_sim_env.reinforcement.wrappers import RayObservation
from learned_sim_env.spec import REWARD_TERMS
from tests.toy_model import NeuralToy, ToyModel, toy_checkpoint

ENV_ID = "LearnedDriving-v0"


def latent(**settings):
    return LearnedDrivingEnv(toy_checkpoint(NeuralToy()), obs_type="latent", max_episode_steps=5, **settings)


@pytest.mark.parametrize("obs_type", ["latent", "dict"])
def test_torchrl(obs_type):
    envs = pytest.importorskip("torchrl.envs", reason="needs TorchRL: make test-rl")
    env = envs.GymWrapper(LearnedDrivingEnv(toy_checkpoint(ToyModel()), obs_type=obs_type, max_episode_steps=5))
    env.set_seed(0)
    envs.check_env_specs(env)
    rollout = env.rollout(20, break_when_any_done=False)
    assert rollout.batch_size == torch.Size([20])
    assert rollout["next", "truncated"].any()


@pytest.mark.parametrize("mode", [None, "Disabled"])
def test_torchrl_reads_infos_of_numbers(mode):
    envs = pytest.importorskip("torchrl.envs", reason="needs TorchRL: make test-rl")
    settings = {"obs_type": "latent", "info_type": "numeric", "max_episode_steps": 5}
    model = toy_checkpoint(NeuralToy())
    if mode is None:
        made = LearnedDrivingEnv(model, **settings)
    else:
        made = LearnedDrivingVectorEnv(2, model, autoreset_mode=mode, **settings)
    env = envs.GymWrapper(made)
    env = env.auto_register_info_dict()
    rollout = env.rollout(8, break_when_any_done=False)
    assert rollout["next", "imagined_steps"][..., :4].unique().tolist() == [1, 2, 3, 4]
    assert rollout["next", "reward_terms"].shape[-1] == len(REWARD_TERMS)
    assert rollout["next", "cost"].dtype == torch.float64


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_gymnasiums_numpy_to_torch(mode):
    pytest.importorskip("array_api_compat", reason="needs gymnasium[array-api]: make test-rl")
    from gymnasium.wrappers.vector import NumpyToTorch

    settings = {"obs_type": "latent", "info_type": "numeric", "max_episode_steps": 3, "autoreset_mode": mode}
    envs = NumpyToTorch(LearnedDrivingVectorEnv(2, toy_checkpoint(NeuralToy()), **settings))
    envs.reset(seed=0)
    for _ in range(4):
        observations, *_, infos = envs.step(torch.zeros(2, 2))
        assert all(isinstance(v, torch.Tensor) for v in (observations, infos["cost"], infos["scenario_tags"]))


def test_skrl(tmp_path):
    runners = pytest.importorskip("skrl.utils.runner.torch", reason="needs skrl: make test-rl")
    from skrl.envs.wrappers.torch import wrap_env

    network = [{"name": "net", "input": "OBSERVATIONS", "layers": [8], "activations": "elu"}]
    experiment = {"directory": str(tmp_path), "write_interval": 0, "checkpoint_interval": 0}
    cfg = {
        "models": {
            "separate": False,
            "policy": {"class": "GaussianMixin", "network": network, "output": "ACTIONS"},
            "value": {"class": "DeterministicMixin", "network": network, "output": "ONE"},
        },
        "memory": {"class": "RandomMemory", "memory_size": -1},
        "agent": {"class": "PPO", "rollouts": 4, "learning_epochs": 1, "mini_batches": 1, "experiment": experiment},
        # Not headless: it calls `render` of the rows.
        "trainer": {
            "class": "SequentialTrainer",
            "timesteps": 8,
            "headless": False,
            "close_environment_at_exit": False,
        },
    }
    settings = {"obs_type": "latent", "max_episode_steps": 5, "render_mode": "rgb_array"}
    envs = LearnedDrivingVectorEnv(3, toy_checkpoint(NeuralToy()), **settings)
    runners.Runner(wrap_env(envs, wrapper="gymnasium"), cfg).run()
    assert envs.episodes.rollout.steps.max() > 0


def test_tianshou():
    env = pytest.importorskip("tianshou.env", reason="needs Tianshou: make test-rl")
    envs = env.DummyVectorEnv([latent] * 3)
    observations, _ = envs.reset(seed=1)  # every row the same
    assert np.array_equal(observations[1], latent().reset(seed=1)[0])
    for step in range(1, 6):
        observations, rewards, terminated, truncated, infos = envs.step(np.full((3, 2), 0.2, np.float32))
        assert observations.shape == (3, 32) and rewards.shape == (3,) and not terminated.any()
        assert truncated.tolist() == [step == 5] * 3 and infos[2]["imagined_steps"] == step
    envs.close()


def sighted(_):
    """For RLlib's workers."""
    return RayObservation(gym.make(ENV_ID))


def test_rllib():
    ray = pytest.importorskip("ray", reason="needs RLlib: make test-rl")
    pytest.importorskip("ray.rllib", reason="needs RLlib: make test-rl")
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.tune.registry import register_env

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, ignore_reinit_error=True)
    try:
        register_env("dream", sighted)
        config = (
            PPOConfig()
            .environment("dream")
            .env_runners(num_env_runners=1, num_envs_per_env_runner=2, rollout_fragment_length=16)
            .training(train_batch_size_per_learner=32, minibatch_size=16, num_epochs=1)
        )
        algorithm = config.build_algo()
        result = algorithm.train()
        algorithm.stop()
        assert result["env_runners"]["num_env_steps_sampled"] >= 32
    finally:
        ray.shutdown()
