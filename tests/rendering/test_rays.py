"""Rays end where things are, and say the same of colours and of class ids."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.rendering.palette import colourise
from learned_sim_env.rendering.rays import ANGLES, REACH, TARGETS, distances
from learned_sim_env.spec import BevSpec, SemanticClass

BEV = BevSpec()
AHEAD, LEFT, RIGHT, BEHIND = (ANGLES.index(a) for a in (0.0, 90, -90, 180.0))
OFF_ROAD, OFF_ROUTE, OBSTACLE = range(len(TARGETS))


def view(fill=SemanticClass.ROUTE):
    ids = np.full((1, BEV.height, BEV.width), fill, np.uint8)
    ids[0, BEV.ego_row - 3 : BEV.ego_row + 4, BEV.ego_column - 1 : BEV.ego_column + 2] = SemanticClass.EGO
    return ids


def metres(ids):
    return distances(ids, BEV)[0] * REACH


def test_nothing_in_the_way():
    assert (metres(view())[OBSTACLE] == REACH).all()
    assert (metres(view())[OFF_ROAD] == REACH).all()


@pytest.mark.parametrize("pixels", [5, 12, 40])
def test_who_is_ahead(pixels):
    ids = view()
    ids[0, BEV.ego_row - pixels - 1 : BEV.ego_row - pixels + 1, 30:35] = SemanticClass.VEHICLE
    found = metres(ids)
    assert found[OBSTACLE, AHEAD] == pytest.approx(pixels * BEV.metres_per_pixel)
    assert (found[OBSTACLE, [LEFT, RIGHT, BEHIND]] == REACH).all()
    assert (found[[OFF_ROAD, OFF_ROUTE], AHEAD] == REACH).all(), "one sees the road on behind others"


def test_left_is_left_and_lines_hide_nothing():
    ids = view()
    ids[0, :, : BEV.ego_column - 4] = SemanticClass.SOLID_LINE
    ids[0, :, : BEV.ego_column - 8] = SemanticClass.ROAD
    ids[0, :, : BEV.ego_column - 16] = SemanticClass.OFF_ROAD
    found = metres(ids)
    assert found[OFF_ROUTE, LEFT] == pytest.approx(9 * BEV.metres_per_pixel)
    assert found[OFF_ROAD, LEFT] == pytest.approx(17 * BEV.metres_per_pixel)
    assert (found[[OFF_ROUTE, OFF_ROAD], RIGHT] == REACH).all()


def test_colours_and_class_ids_say_the_same():
    ids = np.random.default_rng(0).integers(0, 9, (7, BEV.height, BEV.width)).astype(np.uint8)
    assert np.array_equal(distances(ids, BEV), distances(colourise(ids), BEV))
    assert distances(ids, BEV).shape == (7, len(TARGETS), len(ANGLES))
