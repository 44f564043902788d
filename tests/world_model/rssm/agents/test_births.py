"""Who comes into view, and how it is."""

from __future__ import annotations

import math

import pytest
import torch

from learned_sim_env.road import STATIONS
from learned_sim_env.spec import CONTRACTS, SemanticClass
from learned_sim_env.world_model.layers import drawn_several
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
    assert len(born.rows) == pytest.approx(500, abs=10) and born.come.all()
    pose, speed = born.pose[:, 0], born.motion[:, 0, 0]
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
    uniforms = torch.rand(20_000, 1, generator=torch.Generator().manual_seed(0))
    index, left = (x[:, 0] for x in drawn_several(likely, uniforms))
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
        pose = torch.tensor([[[where.real, where.imag, heading - 0.2]]])
        born = Born(torch.tensor([0]), torch.tensor([True]), pose, torch.zeros(1, 1, 3), torch.ones(1, 1, 2))
        found = on_the_road(born, torch.tensor([[[seen]]]), route, pose[..., :2], torch.zeros(1))
        assert found.come.item() == comes, (across, heading)
        assert found.pose[0].tolist() == pytest.approx(pose[0, 0].tolist(), abs=1e-4)


def anywhere(tries):
    """Somebody comes in half of the steps, into any cell, fast, in any direction."""
    births = Births(CONTRACTS["driving"].bev, 8, tries)
    with torch.no_grad():
        births.ahead.weight.zero_()
        births.ahead.bias.zero_()
        births.ahead.bias[BIRTH_GRID**2] = math.log(BIRTH_GRID**2)
        kinds = births.ahead.bias[BIRTH_GRID**2 + 1 : -5].view(DIRECTIONS, len(SPEEDS))
        kinds.fill_(-50.0)[:, -1] = 0.0
    return births


def on_a_map(births, road, count=4000, laid=None):
    """Who comes where `road` says of places (..., 2) whether it is there, the ego being on a straight route."""
    born = births(torch.zeros(count, 8), (torch.arange(count) + 0.5) / count)
    places = births.looked_at(born)
    ids = torch.where(road(places), int(SemanticClass.ROAD), int(SemanticClass.OFF_ROAD))
    if laid is not None:
        ids, laid = torch.full_like(ids, UNKNOWN), laid(places)
    route = chain(torch.zeros(len(ids), STATIONS), torch.zeros(len(ids), 6))
    return on_the_road(born, ids, route, born.pose[..., :2], torch.zeros(len(ids)), laid)


def side_road(places):
    """The ego's own road, and one that joins it from the left, 20 m ahead."""
    x, y = places.unbind(-1)
    return (y.abs() < 4) | ((x - 20).abs() < 4) & (y > 0)


@pytest.mark.parametrize("imagined", [False, True])
def test_who_comes_from_a_side_road_comes_along_it(imagined):
    found = on_a_map(anywhere(4), side_road, laid=side_road if imagined else None)
    pose = found.pose[found.come]
    aside = pose[pose[:, 1].abs() > 8]
    assert (aside[:, 1] > 0).all() and ((aside[:, 0] - 20).abs() < 4).all(), "all others are on no road"
    assert 0.05 < len(aside) / len(pose) < 0.5
    across = aside[:, 2].sin().abs() > 0.7
    assert across.all(), "nobody goes along the route there"
    # Some of them towards the junction, some away from it.
    assert 0.2 < (aside[across, 2].sin() < 0).float().mean() < 0.8
    # On the ego's own road one does not go across, but at the junction.
    own = pose[(pose[:, 1].abs() < 4) & ((pose[:, 0] - 20).abs() > 12)]
    assert (own[:, 2].sin().abs() < 0.7).all()


def test_of_several_places_one_is_on_a_road_where_one_is_not():
    def share(tries, road):
        return on_a_map(anywhere(tries), road, count=4000).come.sum().item() / 4000

    assert share(1, lambda places: places[..., 0] > -1e9) == pytest.approx(0.5, abs=0.05)
    # A third of the ground is road: so many fewer come if there is but one place to do so.
    third = CONTRACTS["driving"].bev.width * CONTRACTS["driving"].bev.metres_per_pixel / 6
    one, four = (share(tries, lambda places: places[..., 1].abs() < third) for tries in (1, 4))
    assert four > 2 * one
    assert share(4, lambda places: places[..., 0] > 1e9) == 0


def test_the_first_of_several_places_is_the_one_of_one():
    one, four = (anywhere(tries)(torch.zeros(100, 8), torch.linspace(0.001, 0.999, 100)) for tries in (1, 4))
    assert torch.equal(one.rows, four.rows)
    for alone, first in zip(one[2:], four[2:]):
        assert torch.equal(alone[:, 0], first[:, 0])
    assert (four.pose[..., :2].diff(dim=1).norm(dim=-1) > 1).float().mean() > 0.9, "the others are elsewhere"
