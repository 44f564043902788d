"""Training can be broken off, leaves no pickles, and its policies drive as they were trained."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3", reason="needs the extra [rl]")

from learned_sim_env.drivers import ray_features
from learned_sim_env.drivers.network import NetworkPolicy
from learned_sim_env.reinforcement import ppo
from learned_sim_env.reinforcement.recipe import Recipe
from learned_sim_env.resources import checkpoints_dir

SMALL = Recipe(steps=64, rollout=16, rows=4, horizon=8, hidden=(8,), batch_size=8, epochs=2, saves=2)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return out, ppo.train("dream", SMALL, 0, out)


def test_policies_are_kept_at_the_update_after_each_half():
    def kept(steps, saves):
        return Recipe(steps=steps, rollout=64, rows=4, saves=saves).saved_steps

    assert kept(100, 2) == [64, 128]
    assert kept(1000, 3) == [256, 512, 1024]
    assert kept(10, 5) == [64]


def test_a_run_is_written_down(done):
    out, run = done
    assert json.loads((out / "run.json").read_text()) == run
    assert run["steps"] == 64 and run["saved"] == [32, 64] and run["place"] == "dream"
    assert [row["steps"] for row in run["curve"]] == [16, 32, 48, 64]
    assert 0 < run["env_seconds"] < run["seconds"]
    names = {"run.json", "state.safetensors", "policy-32.safetensors", "policy-64.safetensors"}
    assert {path.name for path in out.iterdir()} == names


def test_what_is_done_is_not_done_again(done, monkeypatch, tmp_path):
    out, run = done
    monkeypatch.setattr(ppo, "make_env", None)
    assert ppo.train("dream", SMALL, 0, out) == run
    with pytest.raises(ValueError, match="holds a run with other settings"):
        ppo.train("dream", SMALL, 1, out)
    other = tmp_path / "other"
    shutil.copytree(checkpoints_dir() / "bev-rssm", other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "uncertainty_bound": 0.5}))
    with pytest.raises(ValueError, match="holds a run with other settings"):
        ppo.train("dream", SMALL, 0, out, str(other))


@pytest.mark.slow
def test_what_was_broken_off_goes_on(done, tmp_path, monkeypatch):
    kept = ppo.write_json

    def killed(path, value):
        kept(path, value)
        if value["steps"] == 32:
            raise KeyboardInterrupt

    monkeypatch.setattr(ppo, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        ppo.train("dream", SMALL, 0, tmp_path)
    monkeypatch.undo()
    restored = []
    original = ppo.restore
    monkeypatch.setattr(ppo, "restore", lambda model, path: (original(model, path), restored.append(model)))
    run = ppo.train("dream", SMALL, 0, tmp_path)
    assert [row["steps"] for row in run["curve"]] == [16, 32, 48, 64] and run["saved"] == [32, 64]
    # Up to there it is the same run.
    first, again = (NetworkPolicy.load(folder / "policy-32.safetensors").layers for folder in (done[0], tmp_path))
    for (weight, bias), (same_weight, same_bias) in zip(first, again):
        np.testing.assert_array_equal(weight, same_weight)
        np.testing.assert_array_equal(bias, same_bias)
    steps = [state["step"].item() for state in restored[0].policy.optimizer.state_dict()["state"].values()]
    assert set(steps) == {4 * 2 * (16 // 8)}, "Adam counts on from where it was"


@pytest.mark.parametrize("hold", [False, True])
def test_the_policy_that_is_kept_is_the_one_that_was_trained(tmp_path, hold):
    from stable_baselines3 import PPO

    env = ppo.make_env("dream", SMALL)
    settings = {"net_arch": [8, 8], "activation_fn": torch.nn.Tanh}
    model = PPO("MlpPolicy", env, n_steps=4, batch_size=8, policy_kwargs=settings, use_sde=hold, seed=0, device="cpu")
    ppo.exported(model, {}).save(tmp_path / "p.safetensors")
    features = np.random.default_rng(0).normal(size=(20, ray_features.SIZE)).astype(np.float32)
    actions, _ = model.predict(features, deterministic=True)
    np.testing.assert_allclose(NetworkPolicy.load(tmp_path / "p.safetensors")(features), actions, atol=1e-6)


def test_penalty_and_cost_make_the_reward_of_the_recipe():
    rewards = []
    for weights in ({}, {"penalty": 100.0}, {"reward_scale": 0.1}):
        env = ppo.make_env("dream", Recipe(rollout=16, rows=4, cost_weight=0.0, **weights), seed=5)
        env.reset()
        rewards.append(env.step(np.zeros((4, 2), np.float32))[1])
        doubt = env.batch_infos["uncertainty"]
    np.testing.assert_allclose(rewards[1], rewards[0] - 0.05 * 100.0 * doubt, rtol=1e-4)
    np.testing.assert_allclose(rewards[2], 2 * rewards[0], rtol=1e-6)


def test_the_twin_is_trained_in_alike(tmp_path):
    pytest.importorskip("metadrive", reason="needs the extra [metadrive]")
    recipe = Recipe(steps=16, rollout=16, rows=4, hidden=(8,), batch_size=8, epochs=1, saves=1)
    run = ppo.train("twin", recipe, 0, tmp_path)
    assert run["steps"] == 16 and NetworkPolicy.load(tmp_path / "policy-16.safetensors").about["place"] == "twin"


@pytest.mark.parametrize(
    ("settings", "message"), [({"rollout": 100}, "not a multiple of rows 128"), ({"steps": 0}, "steps is 0")]
)
def test_recipes_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**settings)


def test_unknown_places():
    with pytest.raises(ValueError, match="Did you mean 'dream'"):
        ppo.make_env("dreem", SMALL)
