"""Policies that Stable-Baselines3 has saved drive as they were trained, and nothing in their files is unpickled."""

from __future__ import annotations

import json
import zipfile

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from learned_sim_env.environments.actions import to_continuous
from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.rendering.palette import classes_of
from learned_sim_env.viewer import sb3 as files
from learned_sim_env.viewer.policies import expert, open_policy
from learned_sim_env.viewer.session import Session
from tests.toy_model import NeuralToy, toy_checkpoint
from tests.viewer.conftest import ACTION

sb3 = pytest.importorskip("stable_baselines3", reason="needs the extra [rl]")
from torch import nn  # noqa: E402

PPO = {"n_steps": 8, "batch_size": 4, "seed": 0, "device": "cpu"}
# Algorithm, policy, obs_type, action_type, arguments.
POLICIES = {
    "ppo dict": ("PPO", "MultiInputPolicy", "dict", "continuous", PPO),
    "ppo bev": ("PPO", "CnnPolicy", "bev", "discrete", PPO),
    "ppo latent": (
        "PPO",
        "MlpPolicy",
        "latent",
        "continuous",
        {**PPO, "policy_kwargs": {"net_arch": [8, 8], "activation_fn": nn.ELU}},
    ),
    "a2c semantic": ("A2C", "MlpPolicy", "semantic", "discrete", {"seed": 0, "device": "cpu"}),
    "sac latent": ("SAC", "MlpPolicy", "latent", "continuous", {"buffer_size": 10, "seed": 0, "device": "cpu"}),
    "dqn latent": ("DQN", "MlpPolicy", "latent", "discrete", {"buffer_size": 10, "seed": 0, "device": "cpu"}),
}


@pytest.fixture(scope="module")
def session(shipped) -> Session:
    drive = Session(shipped, seed=1)
    for _ in range(3):
        drive.step(expert()(drive))
    return drive


@pytest.fixture
def nothing_unpickled(monkeypatch):
    """Unpickling fails."""
    import pickle

    import cloudpickle

    def refuse(*_, **__):
        raise AssertionError("a pickle was read")

    for module in (pickle, cloudpickle):
        for name in ("load", "loads"):
            monkeypatch.setattr(module, name, refuse)


def saved(path, shipped, algorithm, policy, obs_type, action_type, settings):
    """A policy with random weights, saved at `path`."""
    env = LearnedDrivingEnv(shipped.unwrapped.checkpoint, obs_type=obs_type, action_type=action_type)
    model = getattr(sb3, algorithm)(policy, env, **settings)
    model.save(path)
    return model


@pytest.mark.parametrize("name", POLICIES)
def test_it_drives_as_it_was_saved(name, shipped, session, tmp_path, nothing_unpickled):
    model = saved(tmp_path / "p.zip", shipped, *POLICIES[name])
    session.again()
    driver = open_policy(str(tmp_path / "p.zip"), session)
    assert driver.name == "p.zip"
    for _ in range(3):
        observation = session.moment.observation
        seen = {
            "dict": observation,
            "bev": observation["bev"],
            "semantic": classes_of(observation["bev"]),
            "latent": session.features(),
        }[POLICIES[name][2]]
        expected = to_continuous(model.predict(seen, deterministic=True)[0], POLICIES[name][3])
        action = driver(session)
        assert (action.shape, action.dtype) == ((2,), np.float32)
        np.testing.assert_array_equal(action, expected)
        session.step(action)


def test_the_suffix_may_be_left_out(shipped, session, tmp_path):
    saved(tmp_path / "p", shipped, *POLICIES["ppo latent"])
    assert open_policy(str(tmp_path / "p"), session).name == "p.zip"


class Other(gym.Env):
    """An environment with other observations."""

    observation_space = gym.spaces.Box(-1, 1, (7,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (3,), np.float32)


def test_a_policy_of_another_shape_is_refused(session, tmp_path):
    sb3.PPO("MlpPolicy", Other(), **PPO).save(tmp_path / "other.zip")
    with pytest.raises(ValueError, match=r"other\.zip does not fit.* \(7,\) and actions \(3,\).*'bev': \(3, 64, 64\)"):
        files.open_policy(tmp_path / "other.zip", session)


def changed(source, target, **values):
    """The same file with other values in its readable part."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "data":
                content = json.dumps({**json.loads(content), **values}).encode()
            new.writestr(name, content)
    return target


def test_files_that_do_not_fit_together(shipped, session, tmp_path):
    saved(tmp_path / "p.zip", shipped, *POLICIES["ppo latent"])
    wrong = {
        "a.zip": ({"policy_kwargs": {"net_arch": [9]}}, "its weights do not fit a ActorCriticPolicy"),
        "b.zip": ({"policy_class": {"__module__": "os", "__init__": "<function P.__init__ at 0>"}}, "module 'os'"),
        "c.zip": ({"policy_kwargs": {"features_extractor_class": "<class 'my.Net'>"}}, "only be read by unpickling"),
    }
    for name, (values, message) in wrong.items():
        with pytest.raises(ValueError, match=message):
            files.open_policy(changed(tmp_path / "p.zip", tmp_path / name, **values), session)


def test_files_that_are_no_policies(session, tmp_path):
    (tmp_path / "p.zip").write_text("nothing")
    with pytest.raises(ValueError, match="is not a policy that Stable-Baselines3 has saved"):
        files.open_policy(tmp_path / "p.zip", session)
    with pytest.raises(FileNotFoundError, match=r"policy file .*none\.zip does not exist"):
        open_policy(str(tmp_path / "none.zip"), session)
    with pytest.raises(ValueError, match=r"is a folder: name a file in it, as in .*policy\.safetensors"):
        open_policy(str(tmp_path), session)
    with pytest.raises(ValueError, match="Did you mean 'expert'"):
        open_policy("exprt", session)


def test_without_stable_baselines3_the_extra_is_named(session, tmp_path, monkeypatch):
    import sys

    (tmp_path / "p.zip").touch()
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(ImportError, match=r"learned-sim-env\[rl\]"):
        open_policy(str(tmp_path / "p.zip"), session)


@pytest.mark.parametrize("obs_type", ["dict", "classes", "bev", "semantic", "flat", "latent"])
def test_a_policy_sees_what_it_was_trained_on(obs_type):
    session = Session(LearnedDrivingEnv(toy_checkpoint(NeuralToy())), seed=0)
    env = LearnedDrivingEnv(toy_checkpoint(NeuralToy()), obs_type=obs_type)
    seen, _ = env.reset(seed=0, options={"context": session.moment.info["context"]})
    session.again()
    for _ in range(6):
        assert data_equivalence(files.observed(session, obs_type), seen, exact=True)
        session.step(ACTION)
        seen, *_ = env.step(ACTION)
