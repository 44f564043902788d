"""Road users as boxes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from learned_sim_env.spec import CONTRACTS, EGO_SIZE, SemanticClass
from learned_sim_env.task import EVENTS, events
from learned_sim_env.world_model.geometry import place, turn
from learned_sim_env.world_model.rssm.agents.boxes import GAP_REACH, AgentSummary, box_gap
from tests import scenes


def gap_to(pose, size):
    return box_gap(place(pose), turn(pose[2]), size).item()


@given(
    x=st.floats(-8, 8),
    y=st.floats(-5, 5),
    heading=st.floats(-3.1, 3.1),
    length=st.floats(0.5, 10),
    width=st.floats(0.3, 3),
)
@settings(max_examples=200, deadline=None)
def test_boxes_overlap_the_ego_where_a_simulator_would_call_it_a_collision(x, y, heading, length, width):
    gap = gap_to(torch.tensor([x, y, heading]), torch.tensor([length, width]))
    assume(abs(gap) > 1e-3)
    scene = scenes.scene(others=scenes.agents((SemanticClass.VEHICLE, x, y, heading, length, width)))
    scene = replace(scene, ego=replace(scene.ego, length=EGO_SIZE[0], width=EGO_SIZE[1]))
    assert events(scene, CONTRACTS["driving"])[EVENTS.index("collision")] == (gap < 0)


def test_the_gap_is_the_distance_between_bumpers():
    ahead = torch.tensor([10.0, 0.0, 0.0]), torch.tensor([4.0, 2.0])
    assert gap_to(*ahead) == pytest.approx(10 - 2 - EGO_SIZE[0] / 2)
    beside = torch.tensor([0.0, 3.0, torch.pi]), torch.tensor([4.0, 2.0])
    assert gap_to(*beside) == pytest.approx(3 - 1 - EGO_SIZE[1] / 2, abs=1e-5)


def test_a_summary_says_how_near_the_nearest_is_and_does_not_depend_on_slots():
    summary = AgentSummary(16)
    pose = torch.tensor([[[6.0, 0.0, 0.0], [20.0, 3.0, 0.1], [5.0, 0.0, 0.0]]])
    motion, size = torch.ones(1, 3, 3), torch.tensor([4.0, 2.0]).expand(1, 3, -1)
    there = torch.tensor([[int(SemanticClass.VEHICLE), int(SemanticClass.VEHICLE), 0]], dtype=torch.uint8)
    out = summary(pose, motion, size, there)
    assert out[0, -1].item() == pytest.approx(6 - 2 - EGO_SIZE[0] / 2)
    order = [2, 1, 0]
    torch.testing.assert_close(out, summary(pose[:, order], motion, size, there[:, order]))
    nobody = summary(pose, motion, size, torch.zeros_like(there))
    assert nobody[0].tolist() == [0.0] * 15 + [GAP_REACH]
