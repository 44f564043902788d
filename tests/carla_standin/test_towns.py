"""The test towns are maps that CARLA's own code can read, without dead ends, with what they are there for."""

from __future__ import annotations

from itertools import pairwise
from math import cos, pi, sin

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from learned_sim_env.carla_standin.towns import TOWNS
from learned_sim_env.carla_standin.towns.curves import Pose, connect

carla = pytest.importorskip("carla", reason="needs the extra [carla]")

coordinate, angle = st.floats(-100, 100), st.floats(-pi, pi)


@given(coordinate, coordinate, angle, angle)
def test_a_connection_begins_and_ends_as_asked_and_is_smooth(x, y, first, last):
    assume(x * x + y * y > 1.0)
    # Two arcs that would have to turn right round are left to nobody.
    assume(x * (cos(first) + cos(last)) + y * (sin(first) + sin(last)) > 0.1 * (abs(x) + abs(y)))
    start, end = Pose(0.0, 0.0, first), Pose(x, y, last)
    path = connect(start, end)
    assert path[0].start == start
    for before, after in pairwise(path):
        assert (before.end.x, before.end.y) == pytest.approx((after.start.x, after.start.y), abs=1e-4)
        assert cos(before.end.heading - after.start.heading) == pytest.approx(1.0, abs=1e-9)
    assert (path[-1].end.x, path[-1].end.y) == pytest.approx((x, y), abs=0.01)
    assert cos(path[-1].end.heading - last) == pytest.approx(1.0, abs=1e-4)


@pytest.fixture(scope="module", params=TOWNS)
def town(request):
    return carla.Map(request.param, TOWNS[request.param]())


def test_no_lane_is_a_dead_end_and_none_jumps(town):
    for start, after in town.get_topology():
        here = start
        for _ in range(1000):
            following = here.next(0.5)
            assert following, f"lane {here.lane_id} of road {here.road_id} ends"
            assert min(w.transform.location.distance(here.transform.location) for w in following) < 0.7
            if (following[0].road_id, following[0].lane_id) != (start.road_id, start.lane_id):
                break
            here = following[0]
        assert after.transform.location.distance(here.transform.location) < 0.7


def test_what_the_towns_are_there_for():
    grid, ring = (carla.Map(name, TOWNS[name]()) for name in ("GridTown", "RingTown"))
    assert len(grid.get_all_landmarks_of_type("1000001")) == 26
    assert len(grid.get_crosswalks()) == 26 * 5
    assert any(len(w.next(2.0)) > 1 for w in ring.generate_waypoints(2.0)), "ramps leave the ring"
    assert not ring.get_all_landmarks()


@pytest.mark.parametrize("name", TOWNS)
def test_the_same_text_every_time(name):
    assert TOWNS[name]() == TOWNS[name]()
