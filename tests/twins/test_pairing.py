"""Dream and simulator start at the same moment and are driven alike."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

import learned_sim_env  # noqa: F401  registers the ids
from learned_sim_env.drivers.route import RouteFollower
from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.films import beside
from learned_sim_env.spec import CONTRACTS
from learned_sim_env.twins.approach import bring_to_context
from learned_sim_env.twins.pairing import Pair, open_twin, pictured
from tests.toy_model import toy_camera_checkpoint

ENV_ID = "LearnedDriving-v0"


@pytest.fixture(scope="module")
def dream():
    env = gym.make(ENV_ID)
    yield env
    env.close()


@pytest.fixture(scope="module")
def twin():
    pytest.importorskip("metadrive", reason="needs the extra [metadrive]")
    env = open_twin(ENV_ID)
    yield env
    env.close()


@pytest.fixture(scope="module")
def quickest(dream) -> np.ndarray:
    """Contexts that are soonest reached."""
    return np.argsort(np.diff(dream.unwrapped.checkpoint.contexts.replay_starts))


def test_simulator_comes_to_the_moment_of_a_context(dream, twin, quickest):
    contexts = dream.unwrapped.checkpoint.contexts
    for index in quickest[:3]:
        agreement = bring_to_context(twin, contexts, int(index))
        assert agreement.identical and agreement.same, agreement
        assert agreement.views == {"bev": 1.0}
        assert max(agreement.speed, agreement.route_distance, agreement.route_heading_error) < 1e-5
        np.testing.assert_allclose(twin.ego_vector, contexts.ego[index, -1], atol=1e-5)


def test_other_scenarios_are_other_moments(dream, twin, quickest):
    contexts = dream.unwrapped.checkpoint.contexts
    moved = replace(contexts, scenarios=np.roll(contexts.scenarios, 1))
    for index in quickest[:3]:
        agreement = bring_to_context(twin, moved, int(index))
        assert not agreement.same and not agreement.identical
        assert "it differs in" in str(agreement)


def test_an_episode_that_ends_on_the_way_is_an_error(dream, twin, quickest):
    contexts = dream.unwrapped.checkpoint.contexts
    longest = int(quickest[-1])
    off = replace(contexts, replay=np.tile(np.array([[0.3, 1.0]], np.float32), (len(contexts.replay), 1)))
    with pytest.raises(ValueError, match=f"scenario {contexts.scenarios[longest]} ends after"):
        bring_to_context(twin, off, longest)


def test_both_take_the_same_actions(dream, twin, quickest):
    pytest.importorskip("PIL", reason="pictures need the extra [viewer]")
    pair = Pair(dream, twin)
    moment = pair.reset(seed=0, options={"context": int(quickest[0])})
    assert pair.agreement.identical
    assert not moment.over
    driver = RouteFollower.from_ego(moment.observation["ego"])
    for _ in range(3):
        action = driver(moment.observation["ego"])
        moment = pair.step(action)
        np.testing.assert_array_equal(moment.observation["ego"][2:4], action)
        np.testing.assert_array_equal(twin.ego_vector[2:4], action)
    assert moment.twin is not None
    assert pair.steps == moment.info["imagined_steps"] == 3
    assert min(pair.dream_seconds, pair.twin_seconds) > 0
    assert moment.picture(scale=2).shape == (24 + 128, 2 * 128 + 4, 3)
    # So soon after the same moment, most of what they show is the same.
    assert (moment.dream.frame == moment.twin.frame).all(-1).mean() > 0.8


def test_a_dream_alone(dream):
    pytest.importorskip("PIL", reason="pictures need the extra [viewer]")
    pair = Pair(dream, None)
    moment = pair.reset(seed=0)
    while not moment.over:
        moment = pair.step(np.array([1.0, 1.0], np.float32))
    assert moment.twin is None
    assert moment.dream.end_reason == moment.info["end_reason"] != ""
    assert moment.picture(scale=1).shape == (24 + 64, 64, 3)


def observed(dream) -> dict:
    contexts = dream.unwrapped.checkpoint.contexts
    return {
        "observations": {"semantic": contexts.observations["bev"][0], "ego": contexts.ego[0]},
        "actions": contexts.actions[0],
    }


@pytest.mark.slow
def test_a_twin_is_not_taken_where_it_cannot_be(dream, twin, quickest):
    pair = Pair(dream, twin)
    first = pair.reset(seed=0, options={"context": int(quickest[0])})
    taken = np.array([[0.0, 0.5], [0.1, 0.5]], np.float32)
    for action in taken:
        before = pair.step(action)
    snapshot, scene = dream.unwrapped.snapshot(), twin.scene
    dream.reset(seed=1, options=observed(dream))
    own = dream.unwrapped.snapshot()
    dream.unwrapped.restore(snapshot)
    for options, actions, message in (
        (
            observed(dream),
            None,
            "option 'observations': the twin cannot be brought to observations of your own; begin at",
        ),
        ({"snapshot": own}, None, "option 'snapshot': its dream did not begin at a context"),
        ({"snapshot": snapshot}, None, "taken 2 steps after context .*; give these 2 actions"),
        ({"snapshot": snapshot}, taken[:1], r"actions have shape \(1, 2\); the snapshot needs \(2, 2\)"),
        ({"snapshot": {**snapshot, "record": {}}}, taken, "record lacks"),
        ({"context": 0}, taken, "actions belong to option 'snapshot'"),
    ):
        with pytest.raises(ValueError, match=message):
            pair.reset(seed=1, options=options, actions=actions)
        assert twin.scene is scene, "nothing has been reset"
    assert pair.step(taken[0]).info["imagined_steps"] == 3

    again = pair.reset(seed=2, options={"snapshot": snapshot}, actions=taken)
    assert pair.agreement.identical
    np.testing.assert_array_equal(again.dream.frame, before.dream.frame)
    np.testing.assert_array_equal(again.twin.frame, before.twin.frame)
    dream.reset(seed=0, options={"context": int(quickest[0])})
    start = pair.reset(options={"snapshot": dream.unwrapped.snapshot()})
    np.testing.assert_array_equal(start.twin.frame, first.twin.frame)
    with pytest.raises(ValueError, match="context -1 is none of"):
        bring_to_context(twin, dream.unwrapped.checkpoint.contexts, -1)


def test_a_dream_alone_begins_anywhere(dream):
    assert Pair(dream, None).reset(seed=0, options=observed(dream)).info["context"] == -1


def test_cameras_of_a_pair_stand_one_above_the_other(toy):
    pytest.importorskip("PIL", reason="pictures need the extra [viewer]")
    pytest.importorskip("cv2", reason="drawing needs OpenCV, which the simulators' extras bring")
    names = ("front", "left", "right", "ego")
    pair = Pair(
        LearnedDrivingEnv(toy_camera_checkpoint(), modalities=names), TwinDrivingEnv("toy", contract="driving-camera")
    )
    pair.reset(seed=0, options={"context": 2})
    assert pair.agreement.same
    assert set(pair.agreement.cameras) == {"front", "left", "right"}
    moment = pair.step(np.array([0.0, 0.5], np.float32))
    assert moment.dream.frame.shape == moment.twin.frame.shape == (64, 3 * 96 + 2, 3)
    seen = pair.twin.observed(("left", "front", "right")).values()
    np.testing.assert_array_equal(moment.twin.frame, beside(list(seen), gap=1))
    assert moment.picture().shape == (2 * (24 + 2 * 64) + 4, 2 * (3 * 96 + 2), 3)
    assert pair.simulator == "toy"
    pair.close()


def test_the_view_from_above_stands_beside_cameras_of_its_height():
    contract = CONTRACTS["driving-camera"]
    views = {"front": np.full((64, 96, 3), 9, np.uint8), "bev": np.zeros((64, 64), np.uint8)}
    assert pictured(views, contract).shape == (64, 96 + 1 + 64, 3)
    assert pictured({**views, "bev": np.zeros((32, 32), np.uint8)}, contract).shape == (64, 96, 3)
