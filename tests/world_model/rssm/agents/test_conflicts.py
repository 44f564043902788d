"""Where the paths of road users will meet."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from learned_sim_env.spec import CONTRACTS, SemanticClass
from learned_sim_env.world_model.checkpoint import from_pretrained
from learned_sim_env.world_model.geometry import turn
from learned_sim_env.world_model.rssm.agents.conflicts import HORIZON, NEAREST, REACH, SOONEST, Conflicts
from learned_sim_env.world_model.rssm.agents.motion import FAR, LOOK_AHEAD, AgentMotion
from learned_sim_env.world_model.rssm.config import SIZES
from learned_sim_env.world_model.rssm.model import DrivingRSSM
from learned_sim_env.world_model.traced import played

EGO, OTHER = range(2)
TIME, DISTANCE, NEAR, LEAD, BRAKING, COSINE, SINE = range(7)
UP, DOWN, BACK = math.pi / 2, -math.pi / 2, math.pi
AWAY = (-500.0, 0.0, BACK, 9.0, 0.0)  # out of reach
STILL = (0.0, 0.0)


def told(*agents, ego=STILL, there=None):
    """(2, 7, K) of agents (x, y, heading, speed, yaw rate) in one row, beside an ego (speed, yaw rate)."""
    moving = torch.tensor(agents).t()[..., None]
    known = torch.ones(len(agents), dtype=torch.bool) if there is None else torch.tensor(there)
    return Conflicts().told(moving, known[:, None], torch.tensor(ego)[:, None])


def nothing(found):
    """Whether a conflict (7,) is none."""
    return found.tolist() == pytest.approx([HORIZON, REACH, 1 / (REACH + NEAREST), 0, 0, 0, 0])


def test_two_that_cross():
    # The agent is at (16, -14 + 8 t), the ego at (8 t, 0): nearest after 15/8 s, at (16, 1) and (15, 0).
    found = told((16.0, -14.0, UP, 8.0, 0.0), ego=(8.0, 0.0))
    distance, time = math.sqrt(2), 15 / 8
    braking = 8 / (distance + NEAREST) / (time + SOONEST)
    # The ego comes from the left, and will be behind.
    wanted = [time, distance, 1 / (distance + NEAREST), -distance, braking, 0, -1]
    assert found[EGO, :, 0].tolist() == pytest.approx(wanted, abs=2e-3)
    assert nothing(found[OTHER, :, 0])
    # From 2 m farther back they would meet, and from 4 m farther the ego passes first.
    assert told((16.0, -16.0, UP, 8.0, 0.0), ego=(8.0, 0.0))[EGO, [TIME, DISTANCE, LEAD], 0].tolist() == pytest.approx(
        [2, 0, 0], abs=0.11
    )
    late = told((16.0, -18.0, UP, 8.0, 0.0), ego=(8.0, 0.0))[EGO, :, 0]
    assert late[[TIME, DISTANCE, LEAD]].tolist() == pytest.approx([17 / 8, distance, distance], abs=2e-3)


def test_what_one_is_told_is_what_the_other_is_told_the_other_way_round():
    found = told(AWAY, (100.0, -9.0, UP, 5.0, 0.1), (91.0, 1.0, 0.0, 6.0, -0.05))[OTHER]
    assert nothing(found[:, 0])
    assert torch.equal(found[[TIME, DISTANCE, COSINE], 1], found[[TIME, DISTANCE, COSINE], 2])
    assert torch.equal(found[[LEAD, SINE], 1], -found[[LEAD, SINE], 2])
    assert found[SINE, 1] < 0 < found[SINE, 2], "the one that goes up comes from the right of the other"
    assert found[LEAD, 2] != 0


def test_an_oncoming_vehicle_that_turns_across():
    straight = told((24.0, 3.5, BACK, 6.0, 0.0), ego=(8.0, 0.0))[EGO, :, 0]
    assert straight[[TIME, DISTANCE, COSINE]].tolist() == pytest.approx([24 / 14, 3.5, -1], abs=2e-3)
    assert straight[LEAD].item() == pytest.approx(0, abs=1e-3), "of two that pass, neither is first"
    # To its left, on an arc of 12 m radius, and right through the ego's lane.
    across = told((24.0, 3.5, BACK, 6.0, 0.5), ego=(8.0, 0.0))[EGO, :, 0]
    assert across[DISTANCE] < 2.0 and across[TIME] > 1.0
    # One that waits is passed at the same distance, and if the ego turns across it is in the way.
    waiting = (20.0, 3.5, BACK, 0.0, 0.0)
    assert told(waiting, ego=(8.0, 0.0))[EGO, [TIME, DISTANCE, BRAKING], 0].tolist() == pytest.approx(
        [2.5, 3.5, 0], abs=2e-3
    )
    assert told(waiting, ego=(8.0, 0.15))[EGO, DISTANCE, 0] < 1.0


def test_it_is_the_closest_of_all_moments():
    rng = np.random.default_rng(0)
    times = np.linspace(0, HORIZON, 3001)
    met = 0
    for _ in range(60):
        x, y, heading, speed = rng.uniform((-25, -25, -3, 2), (25, 25, 3, 10))
        yaw_rate, ego = rng.uniform(-0.4, 0.4), (rng.uniform(2, 10), rng.uniform(-0.4, 0.4))

        def path(x, y, heading, speed, rate):
            # An arc, exactly.
            return x + 1j * y + speed / (1j * rate) * (np.exp(1j * (heading + rate * times)) - np.exp(1j * heading))

        gap = np.abs(path(x, y, heading, speed, yaw_rate) - path(0.0, 0.0, 0.0, *ego))
        found = told((x, y, heading, speed, yaw_rate), ego=ego)[EGO, :, 0]
        in_line = math.cos(heading) > 0.86 and abs(y) < 12
        if gap.min() < REACH - 0.5 and not in_line:
            met += 1
            assert found[DISTANCE].item() == pytest.approx(gap.min(), abs=0.3)
            # Two that long go on beside each other are as near for long.
            assert gap[round(found[TIME].item() * 1000)] < gap.min() + 0.8
    assert met > 15


def test_vehicles_in_the_same_lane_are_no_conflict():
    assert nothing(told((12.0, 0.5, 0.1, 2.0, 0.0), ego=(8.0, 0.0))[EGO, :, 0])
    assert nothing(told(AWAY, (-9.0, 30.0, 0.0, 8.0, 0.0), (-20.0, 30.0, 0.0, 9.0, 0.0))[OTHER, :, 1])
    # Beside it, nearest now; and one that comes over from there meets it.
    beside = told((4.0, 3.5, 0.0, 8.0, 0.0), ego=(8.0, 0.0))[EGO, :, 0]
    assert beside[[TIME, DISTANCE, COSINE]].tolist() == pytest.approx([0, math.hypot(4, 3.5), 1], abs=1e-3)
    merging = told((4.0, 3.5, -0.2, 6.0, 0.0), ego=(8.0, 0.0))[EGO, :, 0]
    assert merging[DISTANCE] < 2 and merging[TIME] > 1 and merging[LEAD] != 0


def test_the_nearest_counts_and_empty_slots_do_not():
    crossing, nearly = (60.0, -16.0, UP, 8.0, 0.0), (60.0, -12.0, UP, 8.0, 0.0)
    me = (44.0, 0.0, 0.0, 8.0, 0.0)
    assert told(me, nearly, crossing)[OTHER, DISTANCE, 0].item() == pytest.approx(0, abs=0.11)
    assert told(me, nearly, crossing, there=[True, True, False])[OTHER, LEAD, 0].item() == pytest.approx(
        4 / math.sqrt(2), abs=2e-3
    )
    alone = told(me, nearly, crossing, there=[True, False, False])[OTHER, :, 0]
    assert nothing(alone)
    assert told((3.0, 1.0, UP, 1.0, 0.0), there=[False]).shape == (2, 7, 0)


def traffic(rows, k=6):
    """Agents as `Conflicts` takes them, seven of ten slots taken, in each row a chance of its own."""
    torch.manual_seed(0)
    pose = torch.randn(3, k, rows) * torch.tensor([15.0, 15.0, 3.0])[:, None, None]
    motion = torch.stack([torch.rand(k, rows) * 9, torch.randn(k, rows) * 0.2])
    return torch.cat([pose, motion]), torch.rand(k, rows) < 0.7, torch.rand(2, rows)


def test_rows_do_not_depend_on_each_other():
    arguments, model = traffic(37), Conflicts()
    row_of = arguments[1].nonzero()[:, 1]
    with torch.inference_mode():
        together = model(*arguments)
        assert torch.isfinite(together).all()
        assert together.abs().max() < 10, "of the size of a network's inputs"
        for row in (0, 18, 36):
            alone = model(*(v[..., row : row + 1].contiguous() for v in arguments))
            assert torch.equal(together[..., row_of == row], alone)


def test_of_each_pair_that_meets_the_nearest_is_told():
    moving, there, ego_motion = traffic(20)
    model, row_of, slot_of = Conflicts(), there.nonzero()[:, 1], there.nonzero()[:, 0]
    found = model.told(moving, there, ego_motion)[OTHER]
    met = 0
    for i, (row, slot) in enumerate(zip(row_of.tolist(), slot_of.tolist())):
        others = []
        for other in slot_of[(row_of == row) & (slot_of != slot)].tolist():
            two = torch.zeros_like(there[:, :1])
            two[[slot, other]] = True
            pair = model.told(moving[..., row : row + 1], two, ego_motion[:, row : row + 1])[OTHER]
            others.append(pair[:, int(other < slot)])
        if others:
            nearest = min(others, key=lambda told: told[DISTANCE])
            assert torch.allclose(found[:, i], nearest, atol=1e-5)
            met += float(nearest[DISTANCE]) < REACH
    assert met > 20


def test_played_back_it_is_the_same_however_many_there_are():
    moving, there, ego_motion = traffic(20)
    model = AgentMotion(0.1, conflicts=True).eval().requires_grad_(False)
    torch.nn.init.normal_(model.net.output.weight)
    motion = torch.cat([moving[3:], torch.zeros_like(moving[:1])]).permute(2, 1, 0)
    ids = torch.zeros(20, 6 * len(LOOK_AHEAD), dtype=torch.uint8)

    def arguments(there):
        classes = there.t().to(torch.uint8) * int(SemanticClass.VEHICLE)
        return moving[:3].permute(2, 1, 0), motion, motion[..., :2] + 2, classes, torch.zeros(20, 3), ids

    with torch.inference_mode():
        play = played(model, "forward", arguments(there))
        for some in (there, ~there, there & False, there | True, there & (torch.arange(20) == 3)):
            for again, once in zip(play(*arguments(some)), model(*arguments(some))):
                assert torch.equal(again, once)


@pytest.mark.parametrize("agents", range(4))
@pytest.mark.parametrize("rows", [1, 9])
def test_gradients_are_finite_however_few_there_are(rows, agents):
    moving, _, ego_motion = traffic(rows)
    moving.requires_grad_()
    there = torch.arange(6)[:, None] < agents * (torch.arange(rows) == 0)
    Conflicts()(moving, there, ego_motion).square().sum().backward()
    assert torch.isfinite(moving.grad).all()
    assert not moving.grad[:, ~there].any()


def junctions(count, seed):
    """Agents at 44 m on their way to 60 m, as `AgentMotion` takes them, one that crosses there before or after them,
    and whether it is before (count,). Those ahead in any lane are none.
    """
    rng = np.random.default_rng(seed)
    first = rng.random(count) < 0.5
    late = np.where(first, rng.uniform(1, 5, count), rng.uniform(-5, -1, count))
    side = rng.choice([-1, 1], count)
    me = np.stack([np.full(count, 44.0), np.zeros(count), np.zeros(count)], -1)
    other = np.stack([np.full(count, 60.0), side * (late - 16), side * UP], -1)
    pose = torch.from_numpy(np.stack([me, other], 1)).float()
    motion = torch.tensor([8.0, 0.0, 0.0]).repeat(count, 2, 1)
    classes = torch.full((count, 2), int(SemanticClass.VEHICLE), dtype=torch.uint8)
    ids = torch.zeros(count, 2 * len(LOOK_AHEAD), dtype=torch.uint8)
    size, ego_motion = torch.tensor([4.5, 1.9]).repeat(count, 2, 1), torch.zeros(count, 3)
    return (pose, motion, size, classes, ego_motion, ids), torch.from_numpy(first)


def test_with_them_it_can_be_learned_to_yield():
    (pose, _, *_), _ = junctions(20, 2)
    ahead = AgentMotion(0.1)._ahead(
        *(v for v in (pose.permute(2, 1, 0), turn(pose[..., 2]).t(), torch.full((2, 20), 8.0))),
        torch.full((2, 20), 4.5),
        torch.ones(2, 20, dtype=torch.bool),
        torch.zeros(20),
    )
    assert (ahead[:, 0, 0] == FAR).all(), "no vehicle is ahead of those that have to decide"
    right = {}
    for conflicts in (False, True):
        torch.manual_seed(0)
        model = AgentMotion(0.1, conflicts=conflicts)
        optimizer = torch.optim.Adam(model.parameters(), 5e-3)
        for step in range(80):
            rows, first = junctions(64, (0, step))
            braking = model.guesses(*rows)[0][:, 0, 0] - model.guesses(*rows)[0][:, 0, -1]
            optimizer.zero_grad()
            F.binary_cross_entropy_with_logits(braking, first.float()).backward()
            optimizer.step()
        rows, first = junctions(400, 1)
        logits = model.guesses(*rows)[0][:, 0]
        right[conflicts] = ((logits[:, 0] > logits[:, -1]) == first).float().mean().item()
    assert right[True] > 0.95 and right[False] < 0.6


def test_models_made_before_are_not_told():
    assert from_pretrained("bev-rssm").model.agent_motion.conflicts is None
    assert SIZES["rssm-small"].conflicts
    with_, without = (
        DrivingRSSM(replace(SIZES["rssm-tiny"], conflicts=told), CONTRACTS["driving"]).state_dict()
        for told in (True, False)
    )
    assert with_.keys() == without.keys(), "only a network's width is another"
