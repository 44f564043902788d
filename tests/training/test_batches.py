"""Windows of data: alignment is everything."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.data.episode import PARTS
from learned_sim_env.data.packed import PackedData
from learned_sim_env.training.batches import BEGINNINGS, WindowSampler
from learned_sim_env.world_model.geometry import compose
from tests.data.recordings import CONTRACT, recording
from tests.evaluation.world import PIXEL, SPEED


@pytest.fixture
def sampler(packed) -> WindowSampler:
    return WindowSampler(packed.split("train"), 5, 12, 0.1)


def test_what_is_drawn_depends_on_the_step_alone(sampler):
    first, again, other = sampler.sample(4, 0, 7), sampler.sample(4, 0, 7), sampler.sample(4, 0, 8)
    assert torch.equal(first.observations["bev"], again.observations["bev"]) and torch.equal(
        first.actions, again.actions
    )
    assert not torch.equal(first.actions, other.actions)
    assert not torch.equal(first.actions, sampler.sample(4, 0, 7, rank=1).actions)


def test_some_windows_begin_with_an_episode(sampler):
    begins = ~sampler.sample(2000, 0, 0).stepped[:, 0]
    # One window of each episode begins there anyway.
    expected = BEGINNINGS + (1 - BEGINNINGS) * len(sampler.data) / sampler.total
    assert begins.float().mean().item() == pytest.approx(expected, abs=0.02)


def test_actions_motions_and_terms_stand_at_the_moment_they_led_to(sampler, packed):
    batch = sampler.windows(np.arange(sampler.total))
    # In the drawn world the ego vector repeats the action that led to it, and every step goes one pixel ahead.
    assert torch.equal(batch.actions[batch.stepped], batch.ego[batch.stepped][:, 2:4])
    expected = torch.tensor([PIXEL, 0.0, 0.0])
    moving = batch.stepped & batch.valid
    assert torch.allclose(batch.motion[moving], expected.expand(int(moving.sum()), 3), atol=1e-5)
    assert (batch.motion[~batch.stepped] == 0).all()


def test_poses_are_seen_from_the_end_of_the_context_and_integrate_the_motions(sampler):
    batch = sampler.sample(8, 0, 0)
    assert torch.allclose(batch.pose[:, 4], torch.zeros(8, 3), atol=1e-6)
    pose = batch.pose[:, 4]
    for t in range(5, 17):
        pose = torch.where(batch.valid[:, t, None], compose(pose, batch.motion[:, t]), pose)
        assert torch.allclose(pose[batch.valid[:, t]], batch.pose[:, t][batch.valid[:, t]], atol=1e-4)


def test_agents_are_in_the_same_frame_with_their_speed_along_their_heading(sampler):
    batch = sampler.sample(8, 0, 0)
    there = batch.agent_ids[..., 0] >= 0
    assert there.all()
    # The other car is two pixels a step fast, and one pixel a step faster than the ego.
    assert torch.allclose(batch.agent_motion[..., 0, 0], torch.tensor(2 * SPEED), atol=1e-3)
    gap = batch.agent_pose[:, :, 0, 0] - batch.pose[:, :, 0]
    growing = (gap[:, 1:] - gap[:, :-1])[batch.valid[:, 1:] & batch.stepped[:, 1:]]
    assert torch.allclose(growing, torch.tensor(PIXEL), atol=1e-3)


def test_movers_are_taken_out_of_what_stands_still(sampler):
    batch = sampler.sample(8, 0, 0)
    assert batch.static.max() <= 5
    assert (batch.observations["bev"] > 5).any()
    still = batch.observations["bev"] <= 5
    assert torch.equal(batch.static[still], batch.observations["bev"][still])


def test_windows_reach_past_the_end_and_say_so(sampler):
    batch = sampler.windows(np.arange(sampler.total))
    ends = (~batch.valid).any(1)
    assert ends.any() and batch.valid[:, :6].all()
    # The event of an episode's last moment is in some window, once it is valid.
    assert (batch.events.any(-1) & batch.valid).any()


def test_no_episodes_is_an_error(packed):
    with pytest.raises(ValueError, match="no episodes for this split"):
        WindowSampler(packed.select(np.array([], int)), 5, 12, 0.1)


def sampler_of(*episodes, names=("ego",)) -> WindowSampler:
    packed = PackedData.of(episodes, CONTRACT.fingerprints())
    return WindowSampler(packed, 2, 3, 0.1, names)


def test_all_of_a_whole_episode_is_known(sampler):
    batch = sampler.windows(np.arange(sampler.total))
    for name in ("bev", "ego", "map", "pose", "agents", "stations", "events", "tags"):
        assert torch.equal(batch.known[name], batch.valid), name
    for name in ("actions", "motion", "reward"):
        assert torch.equal(batch.known[name], batch.valid & batch.stepped), name


def test_what_stands_beside_the_road_is_read_where_it_is_asked_for():
    episode = recording(0, 6)
    packed = PackedData.of([episode], CONTRACT.fingerprints())
    index = np.array([1])
    assert not WindowSampler(packed, 2, 3, 0.1, ("ego",)).windows(index).scenery
    found = WindowSampler(packed, 2, 3, 0.1, ("ego",), scenery=True).windows(index).scenery
    assert sorted(found) == ["kind", "pose", "size"]
    np.testing.assert_array_equal(found["kind"][0], episode.scenery_kinds[1:6])
    assert not sampler_of(recording(0, 6, set(PARTS) - {"scenery"})).windows(index).scenery


def test_windows_of_a_bare_recording_say_that_nothing_else_is_known():
    bare = sampler_of(recording(0, 6, (), masks={"actions": np.zeros(7, bool)}))
    batch = bare.windows(np.arange(bare.total))
    assert batch.known["ego"].equal(batch.valid) and batch.known["bev"].equal(batch.valid)
    assert not any(batch.known[name].any() for name in ("actions", "motion", *PARTS))
    # Whatever is not known is there all the same, so that losses need no cases.
    assert (batch.agent_ids == -1).all() and (batch.terms == 0).all() and not batch.events.any()
    assert batch.static.shape == (bare.total, 5, 64, 64) and batch.ground.shape == (bare.total, 64, 64)


def test_parts_are_known_where_they_were_recorded():
    there = np.array([True, True, False, True, True, True, True])
    whole = recording(0, 6)
    gaps = recording(1, 6, masks={"pose": there, "agents": ~there, "actions": there})
    no_map = recording(2, 6, parts=set(PARTS) - {"map", "reward"}, modalities=("ego",))
    sampler = sampler_of(whole, gaps, no_map)
    batch = sampler.windows(np.arange(sampler.total))
    of_each = sampler.total // 3
    a, b, c = (slice(i * of_each, (i + 1) * of_each) for i in range(3))
    assert all(batch.known[name][a].equal(batch.valid[a]) for name in ("bev", "map", "pose", "agents"))
    # The second window of the second episode begins at its moment 1, and its context ends at 2, where no pose is known.
    first, second = batch.known["pose"][b][:2].tolist()
    assert first == [True, True, False, True, True] and not any(second)
    assert batch.known["motion"][b][0].tolist() == [False, True, False, False, True]
    assert batch.known["actions"][b][0].tolist() == [False, True, False, True, True]
    assert batch.known["agents"][b][0].tolist() == [False, False, True, False, False]
    for name in ("bev", "map", "reward"):
        assert not batch.known[name][c].any() and batch.known[name][a].any()
    moved = batch.to("cpu")
    assert moved.known["pose"].equal(batch.known["pose"]) and set(moved.observations) == {"ego"}


def test_windows_have_the_modalities_asked_for():
    names = ("front", "left", "ego", "route")
    one, other = recording(0, 6, modalities=names), recording(1, 6, modalities=("ego", "route"))
    sampler = sampler_of(one, other, names=("left", "route"))
    batch = sampler.windows(np.arange(sampler.total))
    assert set(batch.observations) == {"left", "route", "ego"}
    # Window 2 begins at moment 2 of the first episode.
    np.testing.assert_array_equal(batch.observations["left"][2].numpy(), one.observations["left"][2:7])
    np.testing.assert_array_equal(batch.observations["route"][2].numpy(), one.observations["route"][2:7])
    half = sampler.total // 2
    assert batch.known["left"][:half].equal(batch.valid[:half]) and not batch.known["left"][half:].any()
    with pytest.raises(ValueError, match=r"unknown modality of the data: 'right'.*Known: ego, route, front, left"):
        sampler_of(one, names=("right",))
