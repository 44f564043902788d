"""Who comes into view, and how it is."""

from __future__ import annotations

import math

import pytest
import torch

from learned_sim_env.road import STATIONS
from learned_sim_env.spec import CONTRACTS, SemanticClass
from learned_sim_env.world_model.layers import drawn_first
from learned_sim_env.world_model.rssm.agents.births import BIRTH_GRID, DIRECTIONS, SPEEDS, Births, Born, on_the_road
from learned_sim_env.world_model.rssm.map.memory import UNKNOWN
from learned_sim_env.world_model.rssm.route.path import chain

AHEAD, TOWARDS = 0, 2
CELL = 4  # in the row farthest ahead


@pytest.fixture
def births():
    """Somebody comes in half of the steps, into one cell: half of them wait ahead, half come towards one, fast."""
    births = Births(CONTRACTS["driving"].bev, 8)
    with torch.no_grad():
        births.ahead.weight.zero_()
        births.ahead.bias.fill_(-50.0)
        births.ahead.bias[[CELL, BIRTH_GRID**2]] = 0.0
        kinds = births.ahead.bias[BIRTH_GRID**2 + 1 :]
        kinds[[AHEAD * len(SPEEDS), TOWARDS * len(SPEEDS) + len(SPEEDS) - 1]] = 0.0
        births.ahead.bias[-5:] = 0.0
        # Who comes towards one is on the left, and turned a little.
        births.common.weight[CELL * DIRECTIONS + TOWARDS] = torch.tensor([0.0, 0.4, 0.1, 0.0, 0.0])
    return births


def test_who_comes_is_of_one_kind_or_another_never_in_between(births):
    born = births(torch.zeros(1000, 8), torch.linspace(0.0005, 0.9995, 1000))
    assert born.come.float().mean() == pytest.approx(0.5, abs=0.01)
    pose, speed = born.pose[born.come], born.motion[born.come, 0]
    waiting = speed == SPEEDS[0]
    assert waiting.float().mean() == pytest.approx(0.5, abs=0.02)
    middle = births.middles[CELL]
    assert torch.allclose(pose[waiting], torch.tensor([*middle, 0.0]))
    assert torch.allclose(pose[~waiting], torch.tensor([middle[0], middle[1] + 0.4 * births.cell, 0.1 - math.pi]))
    assert (speed[~waiting] == SPEEDS[-1]).all()


@pytest.mark.parametrize("direction", range(DIRECTIONS))
@pytest.mark.parametrize("turned", [-0.7, 0.0, 0.7])
def test_kinds_are_told_apart(births, direction, turned):
    heading = torch.tensor(math.remainder(direction * math.pi / 2 + turned, 2 * math.pi))
    for i, speed in enumerate(SPEEDS):
        kind, way, rest = births.kind_of(heading, torch.tensor(speed + 0.2))
        assert (kind.item(), way.item()) == (direction * len(SPEEDS) + i, direction)
        assert rest.item() == pytest.approx(turned, abs=1e-5)


def test_what_is_left_of_a_uniform_number_is_uniform_again():
    likely = torch.tensor([0.05, 0.0, 0.6, 0.35]).expand(20_000, 4)
    index, left = drawn_first(likely, torch.rand(20_000, generator=torch.Generator().manual_seed(0)))
    for i, share in enumerate(likely[0]):
        rest = left[index == i]
        assert len(rest) / 20_000 == pytest.approx(share.item(), abs=0.01)
        if len(rest):
            assert torch.histc(rest, 4, 0, 1).div(len(rest)).tolist() == pytest.approx([0.25] * 4, abs=0.05)


@pytest.mark.parametrize("seen", [UNKNOWN, int(SemanticClass.ROAD)])
def test_nobody_comes_against_the_ego_in_its_own_lane(seen):
    # The ego is on a straight route, and turned a little from it.
    ego = torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, 0.2]])
    route = chain(torch.zeros(1, STATIONS), ego)
    left = torch.polar(torch.ones(()), torch.tensor(math.pi / 2 - 0.2))
    for across, heading, comes in (
        (1.0, math.pi, False),
        (-1.0, math.pi, False),
        (3.5, math.pi, True),
        (1.0, 0.0, True),
    ):
        where = 24 * left * -1j + across * left
        pose = torch.tensor([[where.real, where.imag, heading - 0.2]])
        born = Born(torch.tensor([True]), pose, torch.zeros(1, 3), torch.ones(1, 2))
        found = on_the_road(born, torch.tensor([seen]), route, pose[:, :2], torch.zeros(1))
        assert found.come.item() == comes, (across, heading)
        assert found.pose[0].tolist() == pytest.approx(pose[0].tolist(), abs=1e-4)
