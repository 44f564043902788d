"""What `gym.make` gives: a time limit that all agree on, a spec that JSON can hold, keys to play with."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import TimeAwareObservation, TimeLimit

from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.resources import checkpoints_dir
from learned_sim_env.spec import DISCRETE_ACTIONS
from tests.toy_model import IDLE, NeuralToy, toy_checkpoint

ENV_ID = "LearnedDriving-v0"


def dream(**settings) -> gym.Env:
    return LearnedDrivingEnv(toy_checkpoint(NeuralToy()), **settings)


def twin(**settings) -> gym.Env:
    return TwinDrivingEnv("toy", **settings)


@pytest.fixture(params=[dream, twin], ids=["dream", "twin"])
def make(request):
    if request.param is twin:
        pytest.importorskip("cv2", reason="drawing roads needs OpenCV, which the simulators' extras bring")
        request.getfixturevalue("toy")
    return request.param


def length(env: gym.Env) -> tuple[int, str]:
    """Steps of an episode, and why it ended."""
    env.reset(seed=0)
    for step in range(1, 1000):
        *_, terminated, truncated, info = env.step(IDLE)
        assert (terminated or truncated) == bool(info["end_reason"])
        if truncated:
            return step, info["end_reason"]
    raise AssertionError("no end")


@pytest.mark.parametrize(
    ("own", "wrapped", "steps"), [(None, 3, 3), (None, 510, 510), (5, 3, 3), (5, 9, 5), (4, None, 4)]
)
def test_whoever_limits_the_time_the_end_is_named(make, own, wrapped, steps):
    env = make(max_episode_steps=own)
    if wrapped is not None:
        env = gym.wrappers.RecordEpisodeStatistics(TimeLimit(gym.wrappers.OrderEnforcing(env), wrapped))
    assert length(env) == (steps, "time_limit")


def test_the_limit_of_another_env_is_not_followed(make):
    class Outer(gym.Wrapper):
        def reset(self, **arguments):
            inner.reset(seed=0)
            return super().reset(**arguments)

    inner = make()
    TimeLimit(Outer(make()), 3).reset(seed=0)
    for _ in range(4):
        *_, truncated, _ = inner.step(IDLE)
    assert not truncated


def test_a_branch_keeps_the_limit():
    env = TimeLimit(dream(), 3)
    env.reset(seed=0)
    env.step(IDLE)
    branches = env.unwrapped.branch(2)
    branches.step(np.stack([IDLE, IDLE]))
    *_, truncated, infos = branches.step(np.stack([IDLE, IDLE]))
    assert truncated.all() and set(infos["end_reason"]) == {"time_limit"}


def test_wrappers_that_read_the_spec_know_the_limit():
    env = TimeAwareObservation(gym.make(ENV_ID, obs_type="latent"), flatten=False)
    assert env.observation_space["time"].high == 500
    assert gym.make(ENV_ID, max_episode_steps=900).spec.max_episode_steps == 900
    assert gym.make_vec(ENV_ID, 2).episodes.max_episode_steps == 500
    assert gym.make_vec(ENV_ID, 2, max_episode_steps=900).episodes.max_episode_steps == 900


def test_specs_are_json_whatever_the_arguments_are():
    torch = pytest.importorskip("torch")
    checkpoint = Path(checkpoints_dir() / "bev-rssm")
    env = gym.make(ENV_ID, checkpoint=checkpoint, device=torch.device("cpu"))
    spec = env.spec.to_json()
    assert json.loads(spec)["kwargs"] == {
        "checkpoint": str(checkpoint),
        "contract": "driving",
        "device": "cpu",
    }
    again = gym.make(EnvSpec.from_json(spec))
    assert np.array_equal(again.reset(seed=3)[0]["bev"], env.reset(seed=3)[0]["bev"])
    envs = gym.make_vec(ENV_ID, 2, checkpoint=checkpoint, autoreset_mode=AutoresetMode.SAME_STEP)
    kwargs = json.loads(envs.spec.to_json())["kwargs"]
    assert (kwargs["checkpoint"], kwargs["autoreset_mode"]) == (str(checkpoint), "SameStep")


@pytest.mark.parametrize("action_type", ["continuous", "discrete"])
def test_keys_are_actions_that_mean_what_they_say(make, action_type):
    env = make(action_type=action_type)
    keys = env.get_keys_to_action()
    assert all(action in env.action_space for action in keys.values())
    steer, pedal = np.array([DISCRETE_ACTIONS[a] if action_type == "discrete" else a for a in keys.values()]).T
    # The only discrete action that brakes goes straight on.
    straight = "s" if action_type == "discrete" else "-"
    for key, values, sign in (("a", steer, -1), ("d", steer, 1), ("w", pedal, 1), ("s", pedal, -1)):
        signs = {np.sign(v) for name, v in zip(keys, values) if key in name and (key == "s" or straight not in name)}
        assert signs == {sign}, key


@pytest.mark.parametrize(("action_type", "noop"), [("continuous", np.zeros(2, np.float32)), ("discrete", 0)])
def test_gymnasium_plays_it(make, action_type, noop):
    pygame = pytest.importorskip("pygame", reason="playing needs the extra [viewer]")
    play = pytest.importorskip("gymnasium.utils.play")
    env, done = make(action_type=action_type, render_mode="rgb_array"), []
    env.metadata = {**env.metadata, "render_fps": 10_000}

    def callback(_before, _after, action, *_):
        done.append(np.array(action).tolist())
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_w))
        if len(done) == 4:
            pygame.event.post(pygame.event.Event(pygame.QUIT))

    play.play(env, callback=callback, noop=noop, seed=0)
    assert done[0] == np.array(noop).tolist()
    assert done[-1] == np.array(env.get_keys_to_action()["w"]).tolist()
