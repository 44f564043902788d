"""Roads that are none are told from those of a simulator."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.measures.road_shape import arms, implausible, rim_to_area
from learned_sim_env.rendering.bev import BevRenderer
from learned_sim_env.scene import Agents, Scene
from learned_sim_env.spec import CONTRACTS, SemanticClass
from tests.scenes import ego
from tests.winding_roads import winding_road

ROAD = winding_road((60.0, 0.0), (60.0, 0.02), (80.0, 0.0), side_road=True)


def view(place):
    return BevRenderer(CONTRACTS["driving"].bev).semantic(Scene(ROAD, ego(*place), Agents.none()))


@pytest.fixture(scope="module")
def straight():
    return view((20.0, 0.0, 0.0))


def test_a_simulators_road_is_one(straight):
    assert implausible(straight[None])[0] < 0.005


def test_a_frayed_rim_holes_and_specks_are_not(straight):
    frayed = straight.copy()
    off = np.argwhere(straight == SemanticClass.OFF_ROAD)
    some = off[np.random.default_rng(0).permutation(len(off))[:80]]
    frayed[tuple(some.T)] = SemanticClass.ROAD
    assert implausible(frayed[None])[0] > 0.5 * 80 / straight.size
    assert rim_to_area(frayed[None])[0] > 1.5 * rim_to_area(straight[None])[0]
    speck = np.full((1, 64, 64), SemanticClass.ROAD, np.uint8)
    speck[0, 10, 10] = SemanticClass.BROKEN_LINE
    assert implausible(speck)[0] == 1 / 64**2


def test_what_moves_says_nothing_of_the_road(straight):
    behind = straight.copy()
    behind[20:40:2, 20:40:2] = SemanticClass.VEHICLE
    assert implausible(behind[None])[0] < 0.005


def test_roads_that_leave_a_view_are_counted():
    views = np.full((4, 64, 64), SemanticClass.OFF_ROAD, np.uint8)
    views[1:3, :, 30:40] = SemanticClass.ROAD
    views[2, 30:40, 32:] = SemanticClass.ROUTE
    views[3] = SemanticClass.ROAD
    # A sliver is no road of its own.
    views[1, 10:12] = SemanticClass.ROAD
    assert arms(views).tolist() == [0, 2, 3, 1]
    assert np.isnan(rim_to_area(views)[0])


def test_an_arm_may_go_around_the_corner_where_counting_begins():
    corner = np.full((1, 64, 64), SemanticClass.OFF_ROAD, np.uint8)
    corner[0, :5, :5] = SemanticClass.ROAD
    assert arms(corner).tolist() == [1]
