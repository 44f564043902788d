"""Policies of cameras learn in the dream and in the twin, and act by what they may see."""

from __future__ import annotations

import json
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3", reason="needs the extra [rl]")

from learned_sim_env.drivers.camera_network import CAMERAS, CameraPolicy, abreast, closeness
from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv
from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.reinforcement import ppo
from learned_sim_env.reinforcement.camera_observation import VectorCameraObservation, modalities
from learned_sim_env.reinforcement.driving import drive
from learned_sim_env.reinforcement.matched import in_dream
from learned_sim_env.reinforcement.recipe import Recipe
from learned_sim_env.simulators import SIMULATORS
from learned_sim_env.world_model.checkpoint import from_pretrained
from tests.camera_checkpoint import camera_checkpoint

SMALL = Recipe(
    steps=16, rollout=16, rows=4, horizon=6, hidden=(8, 8), batch_size=8, epochs=1, saves=1, sees="cameras", hold=0
)


@pytest.fixture(scope="module", autouse=True)
def toy():
    with pytest.MonkeyPatch.context() as patch:
        # The twin of the dream, too, which is MetaDrive's.
        for name in ("toy", "metadrive"):
            patch.setitem(SIMULATORS, name, "tests.toy_simulator:ToySimulator")
        yield


@pytest.fixture(scope="module")
def checkpoint(toy, tmp_path_factory):
    twin = TwinDrivingEnv("toy", "driving-camera")
    yield str(camera_checkpoint(tmp_path_factory.mktemp("model") / "camera", twin))
    twin.close()


def model_of(recipe, checkpoint):
    return ppo.make_model(ppo.make_env("dream", recipe, checkpoint), recipe, seed=0)


def batch(model):
    """Observations that a policy is shown, as tensors."""
    return model.policy.obs_to_tensor(model.env.reset())[0]


@pytest.mark.parametrize("place", ["dream", "twin"])
@pytest.mark.parametrize("sees", ["cameras", "route"])
def test_a_policy_is_learned_and_kept(place, sees, checkpoint, tmp_path):
    run = ppo.train(place, replace(SMALL, sees=sees), 0, tmp_path, checkpoint)
    assert run["steps"] == 16 and run["place"] == place
    policy = CameraPolicy.load(tmp_path / "policy-16.safetensors")
    assert policy.observes == ((*CAMERAS, "ego", "route") if sees == "cameras" else ("ego", "route"))
    assert policy.targets and policy.about["recipe"]["sees"] == sees
    assert json.loads((tmp_path / "run.json").read_text()) == run
    assert ppo.train(place, replace(SMALL, sees=sees), 0, tmp_path, checkpoint) == run


@pytest.mark.parametrize("hold", [0, 4])
def test_the_policy_that_is_kept_is_the_one_that_was_trained(hold, checkpoint, tmp_path):
    model = model_of(replace(SMALL, hold=hold), checkpoint)
    ppo.exported(model, {}).save(tmp_path / "p.safetensors")
    shown = model.env.reset()
    network = CameraPolicy.load(tmp_path / "p.safetensors").network
    means = network(*(torch.from_numpy(shown[name]) for name in ("pictures", "ego", "route")))
    actions, _ = model.predict(shown, deterministic=True)
    np.testing.assert_allclose(means.detach().clamp(-1, 1).numpy(), actions, atol=1e-5)


def test_the_critic_alone_knows_what_only_the_view_from_above_shows(checkpoint):
    for privileged, reading in ((True, 0.0), (False, 1.0)):
        model = model_of(replace(SMALL, privileged=privileged, reading=reading), checkpoint)
        seen = batch(model)
        other = {**seen, "closeness": 1 - seen["closeness"]}
        (action, value, _), (same, changed, _) = (model.policy(o, deterministic=True) for o in (seen, other))
        assert torch.equal(action, same)
        assert torch.equal(value, changed) == (not privileged)


def test_nothing_is_drawn_that_is_not_used(checkpoint):
    def keys(**changes):
        env = ppo.make_env("dream", replace(SMALL, **changes), checkpoint)
        return set(env.observation_space.spaces)

    assert keys() == keys(reading=0.0) == {"pictures", "ego", "route", "closeness"}
    assert keys(reading=0.0, privileged=False) == {"pictures", "ego", "route"}
    assert keys(sees="route", privileged=False) == {"ego", "route"}


def test_readings_are_learned_beside_driving(checkpoint):
    def error(reading):
        recipe = replace(SMALL, epochs=40, learning_rate=1e-2, batch_size=16, reading=reading)
        model = model_of(recipe, checkpoint)
        model.learn(recipe.steps)
        seen = batch(model)
        model.policy.reading = True
        return -model.policy.evaluate_actions(seen, torch.zeros(len(seen["ego"]), 2))[2].mean().item()

    assert error(1.0) < 0.8 * error(0.0)


def test_what_is_shown_is_the_environments(checkpoint):
    settings = {"contract": "driving-camera", "modalities": modalities(True, True), "max_episode_steps": 2}
    env, inner = (LearnedDrivingVectorEnv(3, checkpoint, autoreset_mode="SameStep", **settings) for _ in range(2))
    ours = VectorCameraObservation(inner)

    def same(shown, seen):
        np.testing.assert_array_equal(shown["pictures"], abreast(seen))
        np.testing.assert_array_equal(shown["closeness"], closeness(seen["bev"]))
        for name in ("ego", "route"):
            np.testing.assert_array_equal(shown[name], seen[name])

    shown, seen = ours.reset(seed=0)[0], env.reset(seed=0)[0]
    assert ours.observation_space.contains(shown)
    same(shown, seen)
    action = np.zeros((3, 2), np.float32)
    ended = 0
    for _ in range(2):
        shown, *_, infos = ours.step(action)
        seen, *_, theirs = env.step(action)
        same(shown, seen)
        for final, true in zip(infos.get("final_obs", ()), theirs.get("final_obs", ()), strict=True):
            assert (final is None) == (true is None)
            if final is not None:
                ended += 1
                assert ours.single_observation_space.contains(final)
                same({n: v[None] for n, v in final.items()}, {n: v[None] for n, v in true.items()})
    assert ended >= 3


def test_other_observations_are_refused(checkpoint):
    env = LearnedDrivingVectorEnv(2, checkpoint, contract="driving-camera", modalities=("front", "ego", "route"))
    with pytest.raises(ValueError, match="a policy of cameras needs observations"):
        VectorCameraObservation(env)
    with pytest.raises(ValueError, match="a policy of cameras needs observations"):
        VectorCameraObservation(gym.make_vec("CartPole-v1", 2))


def test_drivers_are_shown_what_they_need(checkpoint, tmp_path):
    ppo.train("dream", SMALL, 0, tmp_path, checkpoint)
    name = str(tmp_path / "policy-16.safetensors")
    twin = TwinDrivingEnv("toy", "driving-camera", max_episode_steps=3, modalities=("ego",))
    for driver in (name, "careful", "nothing"):
        assert next(drive(twin, driver, [0])).steps == 3
        found = in_dream(from_pretrained(checkpoint), driver, [0, 2], repeats=1, steps=2)
        assert len(found.reward) == 2 and np.isfinite(found.reward).all()
    twin.close()


def test_recipes_that_cannot_be():
    with pytest.raises(ValueError, match="Did you mean 'cameras'"):
        Recipe(sees="camera")
