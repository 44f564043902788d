"""Windows of data: alignment is everything."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.training.batches import BEGINNINGS, WindowSampler
from learned_sim_env.world_model.geometry import compose
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
