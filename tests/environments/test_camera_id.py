"""LearnedDrivingCamera-v0 with the checkpoint that ships: all that the environment of the view from above can do."""

from __future__ import annotations

import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from learned_sim_env.registration import declarations
from learned_sim_env.spec import CAMERAS, CONTRACTS
from learned_sim_env.world_model.checkpoint import from_pretrained

ENV_ID, CONTRACT = "LearnedDrivingCamera-v0", CONTRACTS["driving-camera"]
FORMS = [d.id for d in declarations().values() if (d.backend, d.contract) == ("learned", CONTRACT.name)]
STRAIGHT, LEFT = np.array([0.0, 0.4], np.float32), np.array([-0.6, 0.4], np.float32)
# It paints: left out by `make test-fast`.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkpoint():
    return from_pretrained("camera-rssm")


@pytest.fixture
def make(checkpoint):
    return lambda **settings: gym.make(ENV_ID, checkpoint=checkpoint, **settings)


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("env_id", FORMS)
def test_every_form_keeps_gymnasiums_rules(env_id, checkpoint):
    env = gym.make(env_id, checkpoint=checkpoint, max_episode_steps=4)
    if env_id == ENV_ID:
        assert set(env.observation_space.spaces) == {*CAMERAS, "ego", "route"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*infinity. This is probably too")  # latents have no bounds
        check_env(env.unwrapped, skip_render_check=True)


def test_a_moment_comes_back_and_branches(make):
    env = make().unwrapped
    env.reset(seed=2)
    env.step(STRAIGHT)
    kept = pickle.dumps(env.snapshot())
    assert len(kept) < 300_000
    after = env.step(LEFT)
    seen, _ = env.restore(pickle.loads(kept))
    again = env.step(LEFT)
    assert same(after[0], again[0]) and after[1:4] == again[1:4]
    env.restore(pickle.loads(kept))
    branches = env.branch(3)
    there, *_ = branches.step(np.stack([STRAIGHT, LEFT, LEFT]))
    assert same({name: there[name][1] for name in there}, after[0])
    assert np.array_equal(there["front"][1], there["front"][2])
    assert not np.array_equal(there["front"][0], there["front"][1]) and set(seen) == set(after[0])


def test_it_begins_with_frames_of_ones_own(make, checkpoint):
    contexts, env = checkpoint.contexts, make()
    observations = {name: contexts.observations[name][1] for name in checkpoint.model.observes}
    own, _ = env.reset(seed=0, options={"observations": observations, "actions": contexts.actions[1]})
    assert all(np.array_equal(own[name], observations[name][-1]) for name in CAMERAS)
    shipped, _ = env.reset(seed=0, options={"context": 1})
    assert same(own, shipped)
    del observations["left"]
    with pytest.raises(ValueError, match="left"):
        env.reset(options={"observations": observations, "actions": contexts.actions[1]})


def test_only_what_is_asked_for_is_drawn(make):
    one, all_of_them = make(obs_type="left"), make()
    seen, _ = one.reset(seed=3)
    assert seen.shape == CONTRACT.modality("left").shape
    whole, _ = all_of_them.reset(seed=3)
    for _ in range(2):
        seen, whole = one.step(STRAIGHT)[0], all_of_them.step(STRAIGHT)[0]
        assert np.array_equal(seen, whole["left"])
    assert set(one.unwrapped.snapshot()["drawn"]) == {"left"}
    latent = make(obs_type="latent")
    features, _ = latent.reset(seed=3)
    latent.step(STRAIGHT)
    assert features.shape == latent.observation_space.shape and not latent.unwrapped.snapshot()["drawn"]
    some = make(modalities=("front", "ego"))
    assert set(some.reset(seed=3)[0]) == {"front", "ego"}


def test_rows_are_single_environments_and_begin_again(make, checkpoint):
    settings = {"max_episode_steps": 2, "temperature": 0.0}
    rows = gym.make_vec(ENV_ID, 2, checkpoint=checkpoint, autoreset_mode=AutoresetMode.SAME_STEP, **settings)
    single = make(**settings)
    many, _ = rows.reset(seed=5)
    alone, _ = single.reset(seed=5)
    for _ in range(2):
        assert same({name: many[name][0] for name in many}, alone)
        many, *_, truncated, infos = rows.step(np.stack([LEFT, STRAIGHT]))
        alone = single.step(LEFT)[0]
    assert truncated.all() and same(infos["final_obs"][0], alone)
    assert not np.array_equal(many["front"][0], alone["front"])


def test_it_is_rendered(make):
    env = make(render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().dtype == np.uint8 and env.render().ndim == 3


def test_stable_baselines3_learns_on_it(make):
    ppo = pytest.importorskip("stable_baselines3").PPO
    model = ppo("MultiInputPolicy", make(max_episode_steps=5), n_steps=8, batch_size=8, n_epochs=1, seed=0)
    shapes = {name: space.shape for name, space in model.policy.observation_space.items()}
    assert all(shapes[name] == (3, 64, 96) for name in CAMERAS) and shapes["route"] == (10, 2)
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(8)
    assert any((a != b).any() for a, b in zip(before, model.policy.parameters(), strict=True))
