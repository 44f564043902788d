"""Drivers of many drives see what those of one see, row by row."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.comparison.drivers import gap_ahead
from learned_sim_env.harness.drivers import DRIVERS, gaps_ahead, identity, open_driver
from learned_sim_env.harness.job import Job
from learned_sim_env.harness.pilot import Pilot
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.spec import SemanticClass
from learned_sim_env.stress.strategies.actions import ActionDelay

EGO = np.array([[8.0, 0.0, 0.0, 0.0, 1.0, 0.1]], np.float32)


def road(row: int | None = None) -> np.ndarray:
    """(1, 64, 64) road, with a car whose near end is in `row`."""
    view = np.full((1, 64, 64), SemanticClass.ROAD, np.uint8)
    if row is not None:
        view[0, row - 4 : row + 1, 31:34] = SemanticClass.VEHICLE
    return view


def test_gaps_are_those_of_the_single_driver():
    views = np.concatenate([road(row) for row in (None, 10, 20, 44)])
    np.testing.assert_array_equal(gaps_ahead(views), [gap_ahead(colourise(view)) for view in views])


@pytest.mark.parametrize("name", ["idm", "careful"])
def test_who_looks_brakes_for_a_car_ahead_and_for_none_beside(name):
    act = open_driver(name)
    free, near = (act(EGO, [0])(road(row), EGO)[0] for row in (None, 38))
    beside = road()
    beside[0, 30:40, 50:54] = SemanticClass.VEHICLE
    assert near[1] < -0.5 < free[1]
    assert act(EGO, [0])(beside, EGO)[0, 1] == free[1]


def test_the_expert_sees_nobody():
    act = open_driver("expert")(EGO, [0])
    np.testing.assert_array_equal(act(road(), EGO), act(road(38), EGO))


def test_chance_of_a_row_is_its_seed():
    many = open_driver("random")(EGO.repeat(3, 0), [5, 6, 7])
    alone = open_driver("random")(EGO, [6])
    for _ in range(4):
        rows = many(road().repeat(3, 0), EGO.repeat(3, 0))
        np.testing.assert_array_equal(rows[1], alone(road(), EGO)[0])
    assert not np.array_equal(rows[0], rows[2])


@pytest.mark.parametrize("name", DRIVERS)
def test_actions_are_what_an_environment_takes(name):
    actions = open_driver(name)(EGO.repeat(2, 0), [1, 2])(road().repeat(2, 0), EGO.repeat(2, 0))
    assert actions.shape == (2, 2) and (np.abs(actions) <= 1).all()


def test_a_policy_of_ones_own_is_found_by_its_module():
    assert open_driver("learned_sim_env.harness.drivers:idm") is DRIVERS["idm"]
    with pytest.raises(ValueError, match="Did you mean 'expert'"):
        open_driver("exprt")
    with pytest.raises(ValueError, match="has no function nobody"):
        open_driver("learned_sim_env.harness.drivers:nobody")


def test_drives_of_ones_own_policy_are_used_again_only_as_long_as_it_is_the_same(monkeypatch):
    own = "learned_sim_env.harness.drivers:careful"
    assert identity("careful") == "careful" and identity(own) != identity("careful")
    without = identity(own)
    monkeypatch.setattr(DRIVERS["careful"], "fingerprint", "v1", raising=False)
    assert identity(own) == f"{own} v1" != without


def test_a_policy_that_gives_no_actions_is_named():
    pilot = Pilot(lambda ego, seeds: lambda views, ego: np.full((1, 2), np.nan), [Job("x", 0, 0, 1)], EGO)
    with pytest.raises(ValueError, match="not finite"):
        pilot(road(), EGO)


def test_the_pilot_leaves_the_world_as_it_is():
    job = Job("late", 0, 0, 5, (ActionDelay(0.2),))
    given = iter([0.1, 0.2, 0.3, 0.4])
    pilot = Pilot(lambda ego, seeds: lambda views, ego: np.full((1, 2), next(given)), [job], EGO)
    view = road(20)
    before = view.copy()
    taken = [round(float(pilot(view, EGO)[0, 0]), 3) for _ in range(4)]
    assert taken == [0.1, 0.1, 0.1, 0.2]
    np.testing.assert_array_equal(view, before)
