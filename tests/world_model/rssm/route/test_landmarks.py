"""Where routes end, and what stands in the way, is read off a view."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learned_sim_env.road import STATIONS
from learned_sim_env.spec import EGO_SIZE, BevSpec, SemanticClass
from learned_sim_env.world_model.geometry import view_points
from learned_sim_env.world_model.rssm.route.landmarks import (
    FAR,
    HALF_OBSTACLE,
    OBSTACLES,
    find_obstacles,
    find_route_end,
    obstacle_gap,
    route_left,
)
from learned_sim_env.world_model.rssm.route.path import chain

BEV = BevSpec()
M = BEV.metres_per_pixel
ZERO = torch.zeros(1, 3)


def straight(error: float = 0.0) -> torch.Tensor:
    """A route straight ahead of an ego whose heading is off by `error`."""
    ego = torch.zeros(1, 6)
    ego[:, 5] = error
    return chain(torch.zeros(1, STATIONS), ego)


def road_until(ahead: float, error: float = 0.0) -> torch.Tensor:
    """A view of road 8 m wide that goes `ahead` [m] of the ego."""
    x, y = view_points(BEV).unbind(-1)
    along = x * math.cos(error) - y * math.sin(error)
    aside = x * math.sin(error) + y * math.cos(error)
    road = (aside.abs() < 4) & (along < ahead)
    return (road * int(SemanticClass.ROUTE)).to(torch.uint8).view(1, BEV.height, BEV.width)


@given(ahead=st.floats(7, 28), error=st.floats(-0.4, 0.4))
def test_the_end_of_a_road_is_found_along_the_route(ahead, error):
    end = find_route_end(road_until(ahead, error), straight(error), BEV)
    before, aside = route_left(end, ZERO)
    assert before.item() == pytest.approx(ahead, abs=1.0)
    assert abs(aside.item()) < 0.1
    # Ten metres on it is ten metres nearer.
    c, s = 10 * math.cos(-error), 10 * math.sin(-error)
    assert route_left(end, torch.tensor([[c, s, 0.3]]))[0].item() == pytest.approx(before.item() - 10, abs=1e-3)


def test_a_road_that_goes_on_has_no_end():
    for view in (road_until(100), torch.zeros(1, 64, 64, dtype=torch.uint8)):
        end = find_route_end(view, straight(), BEV)
        assert (end == FAR).all() and route_left(end, ZERO)[0].item() == FAR


def test_an_end_that_would_have_been_reached_is_none():
    view = road_until(10)
    assert (find_route_end(view, straight(), BEV, nearest=12.0) == FAR).all()
    assert route_left(find_route_end(view, straight(), BEV, nearest=8.0), ZERO)[0].item() == pytest.approx(10, abs=1)


def test_where_the_route_leaves_a_road_that_goes_on_is_no_end():
    x, y = view_points(BEV).unbind(-1)
    view = road_until(15).view(-1)
    # Beside what ends, another lane goes on.
    view[(y > 3) & (y < 7)] = int(SemanticClass.ROAD)
    assert (find_route_end(view.view(1, 64, 64), straight(), BEV) == FAR).all()


def test_others_and_the_ego_do_not_end_a_road():
    view = road_until(20)
    view[:, 30:34, 30:35] = int(SemanticClass.VEHICLE)
    view[:, 45:50, 31:34] = int(SemanticClass.EGO)
    assert route_left(find_route_end(view, straight(), BEV), ZERO)[0].item() == pytest.approx(20, abs=1)


def test_obstacles_are_where_they_show_and_the_nearest_are_kept():
    view = road_until(100)
    view[:, 40, 32] = view[:, 20, 10] = int(SemanticClass.STATIC_OBJECT)
    found = find_obstacles(view, view_points(BEV))
    there = found[0][found[0, :, 0] < FAR]
    expected = [[(BEV.ego_row - r) * M, (BEV.ego_column - c) * M] for r, c in ((40, 32), (20, 10))]
    assert sorted(there.tolist()) == sorted(expected)
    view[:] = int(SemanticClass.STATIC_OBJECT)
    crowded = find_obstacles(view, view_points(BEV))
    assert crowded.shape == (1, OBSTACLES, 2) and crowded.norm(dim=-1).max() < 3
    assert (find_obstacles(road_until(100), view_points(BEV)) == FAR).all()


@given(x=st.floats(-8, 8), y=st.floats(-8, 8), heading=st.floats(-3.1, 3.1), ahead=st.floats(-8, 8))
def test_the_gap_to_an_obstacle_is_that_in_the_frame_of_the_ego(x, y, heading, ahead):
    obstacles = torch.full((1, OBSTACLES, 2), FAR)
    obstacles[0, 3] = torch.tensor([x + ahead * math.cos(heading), y + ahead * math.sin(heading)])
    gap = obstacle_gap(obstacles, torch.tensor([[x, y, heading]])).item()
    beside = -EGO_SIZE[1] / 2 - HALF_OBSTACLE
    assert gap == pytest.approx(max(abs(ahead) - EGO_SIZE[0] / 2 - HALF_OBSTACLE, beside), abs=1e-4)
