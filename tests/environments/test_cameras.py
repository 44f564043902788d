"""A world model of cameras, with a state like no other, behind the same environments."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv
from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.rendering.camera import Appearance
from tests import standin
from tests.toy_model import toy_camera_checkpoint

CAMERAS = ("front", "left", "right")
SEEN = (*CAMERAS, "ego")
STRAIGHT, CRASH = np.zeros(2, np.float32), np.array([1, 0], np.float32)


def make(obs_type="dict", **settings):
    if obs_type in ("dict", "classes"):
        settings = {"modalities": SEEN, **settings}
    return LearnedDrivingEnv(toy_camera_checkpoint(), obs_type, **settings)


def test_it_is_an_environment():
    check_env(make(), skip_render_check=True)


@pytest.mark.parametrize("obs_type", ["dict", "classes", *CAMERAS, "latent"])
def test_observations_are_of_their_space(obs_type):
    env = make(obs_type)
    observation, _ = env.reset(seed=0, options={"context": 3})
    assert observation in env.observation_space
    observation, *_ = env.step(STRAIGHT)
    assert observation in env.observation_space
    if obs_type in ("dict", "classes"):
        assert set(observation) == set(SEEN)


def test_only_what_is_asked_for_is_drawn():
    env = make("left")
    env.reset(seed=0)
    env.step(STRAIGHT)
    assert set(env.checkpoint.model.drawn) == {("left",)}
    latent = make("latent")
    latent.reset(seed=0)
    latent.step(STRAIGHT)
    assert latent.checkpoint.model.drawn == []


def test_what_the_model_does_not_draw_is_refused():
    with pytest.raises(ValueError, match="checkpoint toy-camera does not draw 'route', only front, left, right: ask"):
        make(modalities=None)
    with pytest.raises(ValueError, match="checkpoint toy-camera does not draw 'bev', only"):
        make("flat")
    with pytest.raises(ValueError, match=r"unknown obs_type 'rear'\."):
        make("rear")


def test_no_more_of_a_context_is_observed_than_the_model_needs():
    env = make()
    env.reset(seed=0, options={"context": 1})
    past = env.snapshot()["state"]["past"]
    assert past[:, 0].tolist() == [0, 21, 21]


def test_snapshots_repeat_the_future_and_hold_what_was_drawn():
    env = make()
    env.reset(seed=4)
    for _ in range(5):
        env.step(STRAIGHT)
    saved = env.snapshot()
    assert set(saved["drawn"]) == set(CAMERAS)
    first = [env.step(STRAIGHT)[0] for _ in range(5)]
    env.restore(saved)
    again = [env.step(STRAIGHT)[0] for _ in range(5)]
    for one, other in zip(first, again):
        assert all(np.array_equal(one[name], other[name]) for name in SEEN)
    wrong = {**saved, "drawn": {"front": saved["drawn"]["front"][:3]}}
    with pytest.raises(ValueError, match=r"drawn\['front'\] of the snapshot is uint8 of shape \(3, 96, 3\)"):
        env.restore(wrong)


def test_branches_and_rows_are_as_single_environments():
    env = make()
    env.reset(seed=2)
    env.step(STRAIGHT)
    branch = env.branch(3)
    alone = env.step(STRAIGHT)[0]
    together = branch.step(np.tile(STRAIGHT, (3, 1)))[0]
    for name in SEEN:
        assert all(np.array_equal(row, alone[name]) for row in together[name])


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_rows_begin_anew(mode):
    envs = LearnedDrivingVectorEnv(2, toy_camera_checkpoint(), modalities=SEEN, autoreset_mode=mode)
    envs.reset(seed=1)
    actions = np.stack([STRAIGHT, CRASH])
    _, _, terminated, _, infos = envs.step(actions)
    assert terminated.tolist() == [False, True]
    if mode is AutoresetMode.SAME_STEP:
        assert infos["final_obs"][1]["front"].shape == (64, 96, 3)
    if mode is AutoresetMode.DISABLED:
        envs.reset(options={"reset_mask": np.array([False, True])})
    observation, _, terminated, _, _ = envs.step(np.tile(STRAIGHT, (2, 1)))
    assert not terminated.any()
    assert observation in envs.observation_space


def test_its_picture_is_the_cameras_from_left_to_right():
    env = make(render_mode="rgb_array")
    observation, _ = env.reset(seed=0)
    picture = env.render()
    assert picture.shape == (64, 3 * 96, 3)
    assert np.array_equal(picture[:, :96], observation["left"])
    assert np.array_equal(picture[:, 96:192], observation["front"])


def test_episodes_begin_at_observations_of_ones_own():
    env = make()
    mine = {name: np.full((3, 64, 96, 3), 70, np.uint8) for name in CAMERAS}
    mine["ego"] = np.zeros((3, 6), np.float32)
    observation, info = env.reset(seed=0, options={"observations": mine, "actions": np.zeros((3, 2))})
    assert (observation["front"] == 70).all()
    assert info["context"] == -1
    del mine["left"]
    with pytest.raises(ValueError, match="must be a dict of 'right' and 'left' and 'front' and 'ego', got"):
        env.reset(options={"observations": mine, "actions": np.zeros((3, 2))})


def twin_of(**settings):
    return TwinDrivingEnv("toy", **{"contract": "driving-camera", **settings})


@pytest.mark.usefixtures("toy")
def test_the_twin_shows_the_same_modalities():
    twin = twin_of(render_mode="rgb_array")
    assert isinstance(twin.observation_space, gym.spaces.Dict)
    observation, _ = twin.reset(seed=3)
    assert observation in twin.observation_space
    assert set(observation) == {*SEEN, "route"}
    again, _ = twin.reset(seed=3)
    assert all(np.array_equal(observation[name], again[name]) for name in observation)
    assert len({observation[name].tobytes() for name in CAMERAS}) == 3
    assert twin.render().shape == (64, 3 * 96, 3)
    moved, *_ = twin.step(np.array([0, 1], np.float32))
    assert moved in twin.observation_space
    twin.close()


@pytest.mark.usefixtures("toy")
def test_the_seed_decides_the_light_and_an_option_another():
    twin = twin_of()
    first, info = twin.reset(seed=3)
    assert info["appearance"] == {"condition": Appearance.draw(3).condition, "seed": 3}
    night, info = twin.reset(seed=3, options={"appearance": "night"})
    assert info["appearance"] == {"condition": "night", "seed": 3}
    assert night["front"].mean() < 0.7 * first["front"].mean()
    assert np.array_equal(night["ego"], first["ego"])
    # It counts for that episode alone.
    again, _ = twin.reset(seed=3)
    assert np.array_equal(again["front"], first["front"])
    always = twin_of(appearance="night")
    assert np.array_equal(always.reset(seed=3)[0]["front"], night["front"])


@pytest.mark.usefixtures("toy")
def test_the_light_can_change_on_the_way():
    twin = twin_of()
    with pytest.raises(ResetNeeded):
        twin.set_appearance("fog")
    twin.reset(seed=1, options={"appearance": "clear"})
    twin.set_appearance("fog")
    _, _, _, _, info = twin.step(STRAIGHT)
    assert info["appearance"] == {"condition": "fog", "seed": 1}


@pytest.mark.usefixtures("toy")
def test_light_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"unknown appearance 'nigth'\. Did you mean 'night'\?"):
        twin_of(appearance="nigth")
    with pytest.raises(ValueError, match="appearance 'fog': this environment has no cameras"):
        twin_of(contract="driving", appearance="fog")
    with pytest.raises(ValueError, match=r"unknown camera_source 'sensors'\. Did you mean 'sensor'\?"):
        twin_of(camera_source="sensors")
    with pytest.raises(ValueError, match="simulator 'toy' has no cameras of its own"):
        twin_of(camera_source="sensor")
    twin = twin_of()
    with pytest.raises(ValueError, match="unknown appearance"):
        twin.reset(options={"appearance": "nigth"})
    with pytest.raises(ValueError, match="appearance 'fog': no cameras are drawn here"):
        twin_of(contract="driving").set_appearance("fog")


def test_metadrive_shows_what_is_there():
    pytest.importorskip("metadrive", reason="MetaDrive is not installed")
    env = gym.make("MetaDriveDrivingCamera-v0", render_mode="rgb_array")
    observation, info = env.reset(seed=5, options={"appearance": "clear"})
    assert observation in env.observation_space
    assert info["appearance"]["condition"] == "clear"
    # Sky above, road below, and the route straight ahead within a lane's width at first.
    front = observation["front"].astype(float)
    assert front[:8].mean() > front[-8:].mean()
    assert np.abs(observation["route"][0] - [4, 0]).max() < 3
    env.close()


def test_carlas_own_cameras_are_where_the_contracts_are():
    pytest.importorskip("carla", reason="the CARLA client is not installed")
    with standin.server() as settings:
        env = TwinDrivingEnv("carla", contract="driving-camera", camera_source="sensor", **settings)
        try:
            observation, info = env.reset(seed=0)
            assert observation in env.observation_space
            assert "appearance" not in info
            assert "cameras" not in info
            assert len({observation[name].tobytes() for name in CAMERAS}) == 3
            # The stand-in paints sky, roads and ground in colours of their own: the horizon is in the middle.
            front = observation["front"]
            assert (front[:30] == front[0, 0]).all(-1).mean() > 0.9
            assert (front[40:] == front[0, 0]).all(-1).mean() < 0.05
            with pytest.raises(ValueError, match="the simulator's own cameras show its weather"):
                env.reset(options={"appearance": "fog"})
        finally:
            env.close()
