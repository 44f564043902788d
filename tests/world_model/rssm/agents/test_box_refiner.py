"""Boxes that are corrected by refinement."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from learned_sim_env.rendering.boxes import paint_boxes
from learned_sim_env.spec import BevSpec, SemanticClass
from learned_sim_env.world_model.rssm.agents.box_refiner import BoxRefiner, corrected, errors_of
from learned_sim_env.world_model.rssm.agents.boxes import UNKNOWN_ACCELERATION, no_agents
from learned_sim_env.world_model.rssm.agents.motion import advance

BEV, DT, VIEWS = BevSpec(), 0.1, 3

finite = st.floats(-20, 20, width=32)
boxes_of_any_kind = st.lists(
    st.tuples(
        finite, finite, st.floats(-3, 3), st.floats(0, 15), st.floats(-1, 1), st.floats(0.5, 9), st.floats(0.5, 3)
    ),
    min_size=2,
    max_size=2,
)


@given(boxes_of_any_kind)
@settings(max_examples=100, deadline=None)
def test_errors_that_are_found_exactly_leave_none(boxes):
    found, true = torch.tensor(boxes)[:, None]
    torch.testing.assert_close(corrected(found, errors_of(found, true)), true, atol=1e-4, rtol=1e-4)


def drawn(count, seed):
    """Boxes (N, 7), and what was seen of them: movers (N, V, H, W), from an ego that drives straight ahead at 6 m/s."""
    rng = np.random.default_rng(seed)
    low, high = [-5, -8, -0.5, 0, -0.2, 4.0, 1.7], [25, 8, 0.5, 12, 0.2, 5.5, 2.3]
    true = torch.from_numpy(rng.uniform(low, high, (count, 7)).astype(np.float32))
    views = np.zeros((VIEWS, count, BEV.height, BEV.width), np.uint8)
    for i, view in enumerate(views):
        pose = advance(true[:, :3], true[:, 3:5], -i * DT).numpy()
        pose[:, 0] += 6.0 * i * DT
        paint_boxes(view, np.arange(count), pose, true[:, 5:].numpy(), np.full(count, int(SemanticClass.VEHICLE)), BEV)
    frames = torch.zeros(count, VIEWS, 3)
    frames[:, :, 0] = -6.0 * DT * torch.arange(VIEWS)
    return true, torch.from_numpy(views > 0).float().transpose(0, 1), frames


@pytest.mark.slow
def test_it_learns_where_boxes_are_and_how_fast():
    torch.manual_seed(0)
    refiner = BoxRefiner(BEV, DT, VIEWS, hidden=(64,))
    optimizer = torch.optim.AdamW(refiner.parameters(), 3e-3)
    noise = torch.tensor([0.4, 0.3, 0.1, 1.0, 0.0, 0.0, 0.0])
    for step in range(150):
        true, movers, frames = drawn(64, step)
        boxes = corrected(true, noise * torch.randn(64, 7))
        loss = F.smooth_l1_loss(refiner(boxes, movers, frames) / refiner.scale, errors_of(boxes, true) / refiner.scale)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    true, movers, frames = drawn(256, 1000)
    boxes = corrected(true, noise * torch.randn(256, 7))
    with torch.no_grad():
        better = corrected(boxes, refiner(boxes, movers, frames))
    before, after = (errors_of(b, true)[:, [0, 1, 3]].abs().mean(0) for b in (boxes, better))
    assert (after < 0.75 * before).all(), (before, after)


def test_empty_slots_and_what_it_says_nothing_of_stay_as_they_are():
    torch.manual_seed(0)
    refiner = BoxRefiner(BEV, DT, VIEWS)
    torch.nn.init.normal_(refiner.net.output.weight, std=0.3)
    true, movers, frames = drawn(2, 0)
    agents = no_agents(2, 3, "cpu")
    agents["agent_motion"][..., 2] = UNKNOWN_ACCELERATION
    agents["agent_pose"][:, 1], agents["agent_motion"][:, 1, :2], agents["agent_size"][:, 1] = true.split([3, 2, 2], 1)
    agents["agent_class"][:, 1] = int(SemanticClass.VEHICLE)
    after = refiner.corrected(agents, movers, frames)
    for key, value in agents.items():
        assert torch.equal(after[key][:, [0, 2]], value[:, [0, 2]]), key
    assert torch.equal(after["agent_class"], agents["agent_class"])
    assert (after["agent_motion"][..., 2] == UNKNOWN_ACCELERATION).all()
    assert not torch.equal(after["agent_pose"][:, 1], agents["agent_pose"][:, 1])
    nobody = no_agents(2, 3, "cpu")
    assert all(torch.equal(v, nobody[k]) for k, v in refiner.corrected(nobody, movers, frames).items())
