"""The route is found in a view."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from learned_sim_env.road import STATION, STATIONS
from learned_sim_env.spec import CONTRACTS, SemanticClass
from learned_sim_env.world_model.geometry import place, view_points
from learned_sim_env.world_model.rssm.route.finder import RouteFinder
from learned_sim_env.world_model.rssm.route.path import beside_ego, chain

BEV = CONTRACTS["driving"].bev
SEEN = 6  # stations that are in the view, on the bends of these tests


def moments(count, generator):
    """Views of a route that is an arc, on a wide road, egos beside it, and the true headings."""
    curvature, distance, error = (
        (torch.rand(count, generator=generator) * 2 - 1) * most for most in (1 / 30, 1.5, 0.3)
    )
    ego = F.pad(torch.stack([distance, error], -1), (4, 0))
    # Where the arc's middle is, seen from where it passes the ego.
    facing, foot = torch.polar(torch.ones(()), -error), beside_ego(ego)
    seen = (place(view_points(BEV)) - foot[:, None]) * facing.conj()[:, None]
    radius = 1 / curvature[:, None]
    across = ((seen - 1j * radius).abs() - radius.abs()).abs()
    ids = torch.where(across < 1.75, int(SemanticClass.ROUTE), int(SemanticClass.ROAD))
    ids = ids.masked_fill(across > 5, int(SemanticClass.OFF_ROAD)).to(torch.uint8)
    headings = curvature[:, None] * STATION * (torch.arange(STATIONS) + 0.5)
    return ids.view(-1, BEV.height, BEV.width), ego, headings


def metres_off(found, headings, ego):
    """(B, SEEN) by which the stations ahead are off."""
    return (place(chain(found, ego)) - place(chain(headings, ego))).abs()[:, 2 : 2 + SEEN]


def test_untrained_it_goes_straight_on():
    views, ego, _ = moments(3, torch.Generator().manual_seed(0))
    assert RouteFinder(BEV)(views, ego).tolist() == [[pytest.approx(0.0, abs=1e-6)] * STATIONS] * 3


@pytest.mark.slow
def test_it_learns_to_follow_what_is_painted():
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    finder = RouteFinder(BEV)
    optimizer = torch.optim.Adam(finder.parameters(), 3e-3)
    for _ in range(150):
        views, ego, headings = moments(16, generator)
        loss = F.smooth_l1_loss(finder(views, ego)[:, :SEEN] * 10, headings[:, :SEEN] * 10)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    views, ego, headings = moments(64, generator)
    with torch.no_grad():
        off, straight = (metres_off(found, headings, ego).mean() for found in (finder(views, ego), 0 * headings))
    assert off < 0.4 < 1.5 < straight


def test_what_is_said_of_a_station_is_held_against_its_own_turn():
    views, ego, _ = moments(1, torch.Generator().manual_seed(0))
    finder = RouteFinder(BEV)
    torch.nn.init.normal_(finder.net.output.weight)
    headings = finder(views, ego)[0]
    # With respect to the last layer's bias, every heading has the gradient of one turn.
    gradients = [torch.autograd.grad(h, finder.net.output.bias, retain_graph=True)[0].item() for h in headings]
    assert gradients == pytest.approx([gradients[0]] * STATIONS)
