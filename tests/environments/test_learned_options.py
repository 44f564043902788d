"""Where an episode begins: `options` of `reset`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gymnasium.error import Error, ResetNeeded

from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv
from learned_sim_env.rendering.camera import CONDITIONS, Appearance
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.spec import RECORDED_SCENARIOS
from tests.toy_model import IDLE, ToyModel, toy_camera_checkpoint, toy_checkpoint


@pytest.fixture
def env():
    return LearnedDrivingEnv(toy_checkpoint(ToyModel()), obs_type="latent")


def real(steps, key="semantic"):
    semantic = np.full((steps, 64, 64), 7, np.uint8)
    ego = np.arange(steps * 6, dtype=np.float32).reshape(steps, 6) / 100
    return {key: semantic if key == "semantic" else colourise(semantic), "ego": ego}


def test_a_context_by_number(env):
    for i in (0, np.int64(8), 39):
        observation, info = env.reset(options={"context": i})
        assert info["context"] == i
        assert observation[0] == i % 9


def test_a_dream_begins_in_the_light_that_is_asked_for():
    checkpoint = toy_camera_checkpoint(contexts=60)
    env = LearnedDrivingEnv(checkpoint, modalities=("front", "ego"))
    looks = np.array([Appearance.draw(i).condition for i in range(60)])
    for look in CONDITIONS:
        drawn = [env.reset(seed=seed, options={"appearance": look})[1]["context"] for seed in range(20)]
        assert set(drawn) <= set(np.flatnonzero(looks == look)) and len(set(drawn)) > 1
    _, info = env.reset(options={"appearance": "night", "scenario": "curve"})
    assert looks[info["context"]] == "night" and "curve" in info["scenario_tags"]
    checkpoint.contexts.tags[looks == "night"] = False
    with pytest.raises(ValueError, match="has the tag 'curve' and the appearance 'night'"):
        env.reset(options={"appearance": "night", "scenario": "curve"})
    with pytest.raises(ValueError, match=r"unknown appearance 'nigth'\. Did you mean 'night'\?"):
        env.reset(options={"appearance": "nigth"})
    with pytest.raises(ValueError, match="'context' and 'appearance' contradict"):
        env.reset(options={"context": 1, "appearance": "night"})


def test_only_what_drawn_cameras_showed_has_a_light():
    checkpoint = toy_camera_checkpoint(contexts=4)
    seen = checkpoint.contexts
    recorded = replace(seen, scenarios=RECORDED_SCENARIOS.start + seen.scenarios)
    from_above = replace(seen, observations={"ego": seen.ego})
    for contexts in (recorded, from_above):
        checkpoint.contexts = contexts
        assert contexts.looks == [""] * 4
        with pytest.raises(ValueError, match="has the appearance 'clear': they show nothing that was drawn by cameras"):
            LearnedDrivingEnv(checkpoint, "latent").reset(options={"appearance": "clear"})


def test_the_seed_means_the_same_chance_from_every_context(env):
    wander = []
    for i in (0, 1):
        env.reset(seed=5, options={"context": i})
        wander.append(env.step(IDLE)[0][1])
    assert wander[0] == wander[1]


def test_a_scenario_is_drawn_among_its_contexts(env):
    found = [env.reset(seed=s, options={"scenario": "curve"})[1] for s in range(30)]
    assert all("curve" in info["scenario_tags"] and info["context"] % 2 == 0 for info in found)
    assert len({info["context"] for info in found}) > 10
    assert found[7]["context"] == env.reset(seed=7, options={"scenario": "curve"})[1]["context"]


@pytest.mark.parametrize("steps", [1, 2, 9])
@pytest.mark.parametrize("key", ["semantic", "bev"])
def test_own_observations(env, steps, key):
    observations, actions = real(steps, key), np.full((steps, 2), 0.5)
    observation, info = env.reset(seed=0, options={"observations": observations, "actions": actions})
    assert observation.tolist() == [7, steps, 0.5, 0.5, 1]
    assert (info["context"], info["scenario_tags"]) == (-1, ())
    assert env.step(IDLE)[0][0] == 8


def test_frames_may_be_mirrored():
    checkpoint = toy_camera_checkpoint()
    env, contexts = LearnedDrivingEnv(checkpoint, modalities=checkpoint.model.draws), checkpoint.contexts
    seen = {name: contexts.observations[name][1] for name in checkpoint.model.observes}
    straight, _ = env.reset(options={"observations": seen, "actions": contexts.actions[1]})
    seen |= {name: value[:, :, ::-1] for name, value in seen.items() if value.ndim == 4}  # backwards in memory
    mirrored, _ = env.reset(options={"observations": seen, "actions": contexts.actions[1]})
    # Each of them is of one colour.
    assert all(np.array_equal(mirrored[name], value) for name, value in straight.items())


def test_actions_between_observations_are_enough(env):
    observation, _ = env.reset(options={"observations": real(3), "actions": [[0.25, 0.25], [0.5, 0.5]]})
    assert observation[2:4].tolist() == [0.5, 0.5]
    observation, _ = env.reset(options={"observations": real(1)})
    assert observation[2:4].tolist() == real(1)["ego"][0, 2:4].tolist()


def test_a_new_episode_from_a_snapshot(env):
    env.reset(seed=0, options={"context": 4})
    for _ in range(3):
        env.step(IDLE)
    saved = env.snapshot()
    limited = LearnedDrivingEnv(env.checkpoint, obs_type="latent", max_episode_steps=2)
    observation, info = limited.reset(seed=1, options={"snapshot": saved})
    assert (observation[0], info["context"], info["imagined_steps"]) == (7, 4, 3)
    assert info["reward_terms"]["progress"] == 0
    assert not limited.step(IDLE)[3]
    assert limited.step(IDLE)[3]
    futures = []
    for seed in (1, 2, 1):
        limited.reset(seed=seed, options={"snapshot": saved})
        futures.append(limited.step(IDLE)[0][1])
    assert futures[0] == futures[2] != futures[1]


BAD = [
    ({"contxt": 1}, "unknown option 'contxt'. Did you mean 'context'?"),
    ({"scenario": "roundabaut"}, "Did you mean 'roundabout'?"),
    ({"scenario": "merge"}, "no context of this checkpoint has the tag 'merge'"),
    ({"context": 40}, "contexts 0 to 39"),
    ({"context": -1}, "contexts 0 to 39"),
    ({"context": 1.0}, "must be an integer"),
    ({"context": 1, "scenario": "curve"}, "'context' and 'scenario' contradict"),
    ({"context": 1, "observations": real(1)}, "contradict"),
    ({"actions": [[0, 0]]}, "'observations', which is missing"),
    ({"snapshot": 3}, "not int"),
    ({"observations": real(3)}, "'actions' is missing"),
    ({"observations": real(3), "actions": np.zeros((4, 2))}, "4 rows: give 3 or 2"),
    ({"observations": real(2), "actions": [[np.nan, 0]]}, "not finite"),
    ({"observations": real(0)}, "empty"),
    ({"observations": {"ego": real(1)["ego"]}}, "either 'bev' or 'semantic'"),
    ({"observations": real(1)["semantic"]}, "must be a dict"),
    ({"observations": {**real(1), "semantic": np.full((1, 64, 64), 9)}}, "9..9"),
    ({"observations": {**real(1), "semantic": np.zeros((1, 32, 32), int)}}, "(1, 64, 64)"),
    ({"observations": {**real(1), "ego": np.zeros((1, 5))}}, "('T', 6)"),
    ({"observations": {"bev": real(1, "bev")["bev"] + 1, "ego": real(1)["ego"]}}, "not in the palette"),
    ({"observations": {"bev": real(1, "bev")["bev"] / 255, "ego": real(1)["ego"]}}, "must be uint8"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_wrong_options_are_refused(env, options, message):
    with pytest.raises(ValueError) as raised:
        env.reset(options=options)
    assert message in str(raised.value)


def test_options_are_left_alone(env):
    options = {"context": 2}
    env.reset(options=options)
    assert options == {"context": 2}


def test_after_a_refused_reset_there_is_no_episode(env):
    for options, _ in BAD:
        env.reset(seed=0)
        with pytest.raises(ValueError):
            env.reset(options=options)
        with pytest.raises(ResetNeeded, match="reset"):
            env.step(IDLE)
    env.reset(seed=0)
    with pytest.raises(Error):
        env.reset(seed=-1)
    with pytest.raises(ResetNeeded):
        env.step(IDLE)
    many = LearnedDrivingVectorEnv(3, env.checkpoint, obs_type="latent")
    many.reset(seed=0)
    with pytest.raises(ValueError):
        many.reset(options={"context": 40, "reset_mask": np.array([False, True, False])})
    with pytest.raises(ResetNeeded, match=r"rows \[1\]"):
        many.step(np.zeros((3, 2)))
    with pytest.raises(Error):
        many.reset(seed=[0, -1, 0], options={"reset_mask": np.array([False, True, False])})
    with pytest.raises(ResetNeeded, match=r"rows \[1\]"):
        many.step(np.zeros((3, 2)))
    many.reset(options={"reset_mask": np.array([False, True, False])})
    assert many.step(np.zeros((3, 2)))[4]["imagined_steps"].tolist() == [1, 1, 1]
