"""How other road users move."""

from __future__ import annotations

import math

import pytest
import torch

from learned_sim_env.road import STATION, STATIONS
from learned_sim_env.spec import EGO_SIZE, SemanticClass
from learned_sim_env.world_model.geometry import turn
from learned_sim_env.world_model.rssm.agents.boxes import UNKNOWN_ACCELERATION
from learned_sim_env.world_model.rssm.agents.motion import (
    ACCELERATIONS,
    FAR,
    LOOK_AHEAD,
    AgentMotion,
    advance,
)
from learned_sim_env.world_model.rssm.map.memory import UNKNOWN
from learned_sim_env.world_model.rssm.route.path import chain

LEFT, OWN, RIGHT = range(3)
SIZE = torch.tensor([4.0, 2.0])
BEHIND = -50.0  # [m] where nobody minds


def agents(*poses, speed=5.0):
    """Vehicles at `poses`, as `AgentMotion` takes them, in one row, beside an ego that drives 7 m/s."""
    pose = torch.tensor([poses])
    k = pose.shape[1]
    motion = torch.tensor([speed, 0.0, 0.0]).repeat(1, k, 1)
    there = torch.full((1, k), int(SemanticClass.VEHICLE), dtype=torch.uint8)
    ids = torch.zeros(1, k * len(LOOK_AHEAD), dtype=torch.uint8)
    return [pose, motion, SIZE.expand(1, k, 2), there, torch.tensor([[6.5, 7.0, 0.0]]), ids]


def gaps(*poses):
    """[m] (K, 3) from each vehicle to the next one ahead in each lane."""
    pose, motion, size, there, ego_motion, _ = agents(*poses)
    pose, motion, size = (v.permute(2, 1, 0) for v in (pose, motion, size))
    ahead = AgentMotion(0.1)._ahead(pose, turn(pose[2]), motion[0], size[0], there.t() > 0, ego_motion[:, 1])
    return ahead[:, 0, :, 0].t()


def says(*likely):
    """A model whose accelerations have these probabilities, by acceleration, whatever it sees."""
    model = AgentMotion(0.1)
    with torch.no_grad():
        model.net.output.bias[:-1] = -50.0
        for acceleration, probability in likely:
            model.net.output.bias[ACCELERATIONS.index(acceleration)] = math.log(probability)
    return model


def test_poses_advance_along_arcs():
    pose = torch.tensor([1.0, 2.0, 0.3])
    straight = advance(pose, torch.tensor([10.0, 0.0, 9.9]), 0.1)
    assert straight.tolist() == pytest.approx([1 + math.cos(0.3), 2 + math.sin(0.3), 0.3])
    # Once around a circle of 5 m radius.
    for _ in range(100):
        pose = advance(pose, torch.tensor([5.0, 1.0]), 2 * math.pi / 100)
    assert pose.tolist() == pytest.approx([1.0, 2.0, 0.3], abs=1e-3)


def test_who_is_ahead_in_which_lane():
    found = gaps((BEHIND, 20.0, 0.0), (BEHIND + 12.0, 20.5, 0.0), (BEHIND + 25.0, 23.5, 0.0), (BEHIND + 15, 17, 0.1))
    assert found[0].tolist() == pytest.approx([25 - 4, 12 - 4, 15 - 4], abs=0.3)
    assert found[2].tolist() == [FAR] * 3
    # Who comes towards one is in no lane of one's own.
    assert gaps((BEHIND, 20.0, 0.0), (BEHIND + 12.0, 20.0, math.pi))[0].tolist() == [FAR] * 3
    # The ego is one of those ahead.
    assert gaps((-10.0, 0.5, 0.0))[0].tolist() == pytest.approx([FAR, 10 - (4 + EGO_SIZE[0]) / 2, FAR])


@pytest.mark.parametrize("side", [1, -1])
def test_on_a_bend_the_lane_is_bent(side):
    def on_circle(angle, radius):
        return (radius * math.sin(angle) - 80, side * (40 - radius * math.cos(angle)), side * angle)

    found = gaps(on_circle(0.0, 40.0), on_circle(0.5, 40.0), on_circle(0.5, 43.5))
    chord = 2 * 40 * math.sin(0.25)
    assert 40 * (1 - math.cos(0.5)) > 4, "the next one is a lane aside of where the first one looks"
    assert found[0, OWN].item() == pytest.approx(chord - 4, abs=0.1)
    outer, inner = (RIGHT, LEFT) if side > 0 else (LEFT, RIGHT)
    assert found[0, outer].item() == pytest.approx(chord * 43.5 / 40 - 4, abs=1.0)
    assert found[0, inner] == FAR


def test_of_two_things_that_may_happen_one_does():
    model, rows = says((0.1, 0.6), (2.0, 0.4)), agents((20.0, 0.0, 0.0), (20.0, 5.0, 0.0))
    for uniforms, gained in (([0.3, 0.9], [0.1, 2.0]), ([0.61, 0.59], [2.0, 0.1])):
        _, motion = model(*rows, torch.tensor([uniforms]))
        assert motion[0, :, 2].tolist() == pytest.approx(gained, abs=1e-4)
        assert motion[0, :, 0].tolist() == pytest.approx([5 + 0.1 * a for a in gained], abs=1e-5)
    # Without chance the likelier one of the two, not what lies between.
    _, motion = model(*rows)
    assert motion[0, :, 2].tolist() == pytest.approx([0.1, 0.1], abs=1e-4)
    # At a low temperature the likelier one nearly always.
    _, motion = model(*rows, torch.tensor([[0.3, 0.9]]), temperature=0.1)
    assert motion[0, :, 2].tolist() == pytest.approx([0.1, 0.1], abs=1e-4)


def test_without_chance_neighbours_are_averaged():
    _, motion = says((0.8, 0.2), (1.2, 0.5), (1.6, 0.3))(*agents((20.0, 0.0, 0.0)))
    assert motion[0, 0, 2].item() == pytest.approx(0.2 * 0.8 + 0.5 * 1.2 + 0.3 * 1.6, abs=1e-4)


def test_nobody_drives_backwards():
    pose, motion = says((-5.0, 1.0))(*agents((20.0, 0.0, 0.0), speed=0.2))
    assert motion[0, 0].tolist() == pytest.approx([0.0, 0.0, -2.0], abs=1e-5)
    assert torch.equal(pose[0, 0], torch.tensor([20.0, 0.0, 0.0]))


def test_not_to_know_an_acceleration_is_not_to_know_that_there_is_none():
    model = AgentMotion(0.1)
    torch.manual_seed(0)
    torch.nn.init.normal_(model.net.output.weight)
    rows = agents((20.0, 0.0, 0.0))
    steady = model.guesses(*rows)[0]
    rows[1][..., 2] = UNKNOWN_ACCELERATION
    unknown = model.guesses(*rows)[0]
    assert not torch.allclose(steady, unknown)
    # Whatever stands there as unknown, it is not taken for braking.
    assert torch.isfinite(unknown).all() and (steady - unknown).abs().max() < 5


@pytest.mark.parametrize("radius", [25.0, -25.0])
@pytest.mark.parametrize("against", [False, True])
def test_where_no_map_was_seen_one_drives_along_the_route(radius, against):
    model = says((0.1, 1.0)).requires_grad_(False)
    turns = torch.full((1, STATIONS), STATION / radius)
    route = chain(turns.cumsum(1) - turns / 2, torch.zeros(1, 6))
    # On the arc that the route is, 3 m to its left.
    angle = 30.0 / radius
    pose = [(radius - 3) * math.sin(angle), radius - (radius - 3) * math.cos(angle), angle + against * math.pi]
    pose, motion, size, there, ego_motion, ids = agents(pose, speed=6.0)
    ids.fill_(UNKNOWN)
    for _ in range(30):
        pose, motion = model(pose, motion, size, there, ego_motion, ids, torch.full((1, 1), 0.5), route=route)
    away = pose[0, 0, :2] - torch.tensor([0.0, radius])
    assert away.norm() == pytest.approx(abs(radius - 3), abs=1.0)
    # Where the map is known, or one goes across, the network alone says how one turns.
    for known, across in ((1, 0.0), (UNKNOWN, math.pi / 2)):
        pose[..., 2] += across
        turned = model(pose, motion * 0 + 6, size, there, ego_motion, ids.fill_(known), route=route)[1]
        assert turned[0, 0, 1] == 6.0
