"""What recorded MetaDrive episodes hold, and how their rows are aligned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learned_sim_env.data.dataset import load_episodes
from learned_sim_env.data.episode import AGENT_SLOTS, MOVER_SLOTS, PARTS, SCHEMA, TRANSITIONS, Episode
from learned_sim_env.data.episode_recorder import agent_slots
from learned_sim_env.rendering.boxes import paint_boxes
from learned_sim_env.scene import Agents, to_frame, wrap_angle
from learned_sim_env.spec import CONTRACTS, NUM_MAP_CLASSES, TERMINATIONS, TRUNCATIONS, BevSpec, SemanticClass
from learned_sim_env.task import EVENTS

DT = CONTRACTS["driving"].dt


@pytest.fixture(scope="module")
def episodes(collection: Path) -> list[Episode]:
    return load_episodes(collection)


def test_shapes_and_dtypes(episodes: list[Episode]) -> None:
    for episode in episodes:
        assert 1 <= len(episode) <= 25
        episode.check(CONTRACTS["driving"])
        arrays = episode.arrays()
        assert set(arrays) == {"bev", "ego", *SCHEMA} - {*PARTS["scenery"]} and not episode.valid
        for name, (shape, dtype) in ((name, SCHEMA[name]) for name in arrays if name in SCHEMA):
            assert arrays[name].shape == (len(episode) + (name not in TRANSITIONS), *shape), name
            assert arrays[name].dtype == dtype, name


def test_wrong_arrays_are_refused(episodes: list[Episode]) -> None:
    episode = episodes[0]
    with pytest.raises(ValueError, match="rewards is float64"):
        replace(episode, rewards=episode.rewards.astype(np.float64))
    with pytest.raises(ValueError, match="ego_pose"):
        replace(episode, ego_pose=episode.ego_pose[:-1])


def test_an_action_leads_to_the_next_moment(episodes: list[Episode]) -> None:
    for episode in episodes:
        np.testing.assert_array_equal(episode.ego[0, 2:4], 0.0)
        np.testing.assert_array_equal(episode.ego[1:, 2:4], episode.actions)


def test_poses_agree_with_the_motion_recorded(episodes: list[Episode]) -> None:
    for episode in episodes:
        step = np.diff(episode.ego_pose[:, :2], axis=0)
        mean_velocity = (episode.ego_velocity[1:] + episode.ego_velocity[:-1]) / 2
        np.testing.assert_allclose(step / DT, mean_velocity, atol=1.0)
        np.testing.assert_allclose(np.hypot(*episode.ego_velocity.T), episode.ego[:, 0], atol=1e-4)
        yaw_rate = wrap_angle(np.diff(episode.ego_pose[:, 2])) / DT
        np.testing.assert_allclose(episode.ego[1:, 1], yaw_rate, atol=1e-4)


def test_rewards_are_the_sum_of_the_terms_of_their_step(episodes: list[Episode]) -> None:
    for episode in episodes:
        np.testing.assert_array_equal(episode.reward_terms[0], 0.0)
        np.testing.assert_allclose(episode.reward_terms[1:].sum(-1), episode.rewards, atol=1e-5)


def test_episodes_end_once_and_for_their_reason(episodes: list[Episode]) -> None:
    for episode in episodes:
        ended = episode.terminations | episode.truncations
        assert not ended[:-1].any()
        assert episode.terminations[-1] != episode.truncations[-1]
        assert episode.end_reason in (TERMINATIONS if episode.terminations[-1] else TRUNCATIONS)
        if episode.terminations[-1]:
            assert episode.events[-1, EVENTS.index(episode.end_reason)]


def test_the_map_is_the_view_without_what_moves(episodes: list[Episode]) -> None:
    for episode in episodes:
        assert episode.map.max() < NUM_MAP_CLASSES
        covered = episode.observations["bev"] >= NUM_MAP_CLASSES
        np.testing.assert_array_equal(episode.observations["bev"][~covered], episode.map[~covered])
        assert (episode.observations["bev"] == SemanticClass.EGO).any((1, 2)).all()


def test_recorded_agents_paint_the_view(episodes: list[Episode]) -> None:
    bev, painted = BevSpec(), 0
    for episode in episodes:
        row, slot = np.nonzero(episode.agent_ids >= 0)
        world, ego = episode.agent_poses[row, slot].astype(np.float64), episode.ego_pose[row]
        poses = np.array([[*to_frame(w[:2], e), wrap_angle(w[2] - e[2])] for w, e in zip(world, ego, strict=True)])
        view = episode.map.copy()
        paint_boxes(
            view,
            row,
            poses.reshape(-1, 3),
            episode.agent_sizes[row, slot],
            episode.agent_classes[row, slot],
            bev,
        )
        ego_pixels = episode.observations["bev"] == SemanticClass.EGO
        np.testing.assert_array_equal(view[~ego_pixels], episode.observations["bev"][~ego_pixels])
        painted += (view != episode.map).sum()
    assert painted > 0


def test_agents_keep_their_ids(episodes: list[Episode]) -> None:
    for episode in episodes:
        for before, after in zip(range(len(episode)), range(1, len(episode) + 1), strict=True):
            common = np.intersect1d(episode.agent_ids[before], episode.agent_ids[after])
            for number in common[common >= 0]:
                i = np.flatnonzero(episode.agent_ids[before] == number)
                j = np.flatnonzero(episode.agent_ids[after] == number)
                assert len(i) == len(j) == 1
                moved = episode.agent_poses[after, j[0], :2] - episode.agent_poses[before, i[0], :2]
                assert np.hypot(*moved) < 60.0 * DT


@given(
    movers=st.integers(0, 40),
    objects=st.integers(0, 40),
    order=st.randoms(use_true_random=False),
)
def test_slots_hold_the_nearest_of_each_kind(movers: int, objects: int, order: object) -> None:
    classes = [SemanticClass.VEHICLE] * movers + [SemanticClass.STATIC_OBJECT] * objects
    order.shuffle(classes)  # type: ignore[attr-defined]
    n = len(classes)
    agents = Agents(
        ids=np.arange(n),
        classes=np.array(classes, np.uint8),
        poses=np.arange(3 * n, dtype=np.float32).reshape(n, 3),
        sizes=np.ones((n, 2), np.float32),
        velocities=np.zeros((n, 2), np.float32),
    )
    slots = agent_slots(agents)
    assert slots["agent_ids"].shape == (AGENT_SLOTS,)
    for kind, part in (
        (SemanticClass.VEHICLE, slice(0, MOVER_SLOTS)),
        (SemanticClass.STATIC_OBJECT, slice(MOVER_SLOTS, AGENT_SLOTS)),
    ):
        expected = np.flatnonzero(agents.classes == kind)[:16]
        ids = slots["agent_ids"][part]
        np.testing.assert_array_equal(ids[ids >= 0], expected)
        np.testing.assert_array_equal(ids[len(expected) :], -1)
        np.testing.assert_array_equal(slots["agent_poses"][part][: len(expected)], agents.poses[expected])
        np.testing.assert_array_equal(slots["agent_sizes"][part][len(expected) :], 0.0)
