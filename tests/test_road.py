"""Where a pose is: on which lanes, and where along the route."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learned_sim_env.road import SEAM, STATION, WAYPOINTS, road_index
from learned_sim_env.scene import RoadMap, relative_motion, to_frame
from tests import scenes

HEADINGS = st.floats(-3.1, 3.1)
ROAD = scenes.straight_road(destination=150.0)
INDEX = road_index(ROAD)


def circle(radius: float = 30.0) -> RoadMap:
    """A route around the origin, counter-clockwise, that ends a little before where it began."""
    angle = np.linspace(0.0, 2 * np.pi - 0.3, 120)
    return RoadMap((), (), radius * np.stack([np.cos(angle), np.sin(angle)], -1))


@given(st.floats(-170.0, 140.0), st.floats(-10.0, 10.0), HEADINGS)
def test_on_a_straight_route(x, y, heading):
    left, distance, error = INDEX.on_route(np.array([x, y, heading]))
    assert left == pytest.approx(150.0 - x, abs=1e-6)
    assert distance == pytest.approx(y, abs=1e-9), "positive to the left"
    assert error == pytest.approx(heading, abs=1e-9), "positive where one points to the left of it"


@given(st.floats(0.1, 5.5), st.floats(25.0, 35.0), HEADINGS)
def test_on_a_round_route(angle, radius, turn):
    tangent = angle + np.pi / 2
    pose = np.array([radius * np.cos(angle), radius * np.sin(angle), tangent + turn])
    left, distance, error = road_index(circle()).on_route(pose)
    # The middle of a circle driven counter-clockwise is on the left.
    assert distance == pytest.approx(30.0 - radius, abs=0.03)
    assert left == pytest.approx(30.0 * (2 * np.pi - 0.3 - angle), abs=0.2)
    assert error == pytest.approx(turn, abs=0.03), "the polyline's corners are rounded off"


@given(st.floats(-150.0, 100.0), st.floats(-4.0, 4.0), HEADINGS, st.floats(-500, 500), st.floats(-500, 500), HEADINGS)
def test_the_route_does_not_care_where_the_world_begins(x, y, heading, dx, dy, turn):
    before = scenes.scene(ROAD, x=x, y=y, heading=heading)
    after = scenes.moved(before, dx, dy, turn)
    here, there = (road_index(s.road_map).on_route(s.ego.pose) for s in (before, after))
    assert here[:2] == pytest.approx(there[:2], abs=1e-6)
    assert np.exp(1j * here[2]) == pytest.approx(np.exp(1j * there[2]), abs=1e-6)


def test_heading_error_follows_a_gentle_curve_without_jumps():
    route = road_index(circle())
    angles = np.linspace(0.2, 5.0, 2000)
    poses = np.stack([30 * np.cos(angles), 30 * np.sin(angles), angles + np.pi / 2], -1)
    errors = np.array([route.on_route(pose)[2] for pose in poses])
    assert np.abs(errors).max() < 0.01


def test_beyond_the_ends_of_the_route():
    left, distance, _ = INDEX.on_route(np.array([153.0, 4.0, 0.0]))
    assert left == 0
    assert distance == pytest.approx(5.0), "the distance to the end"
    left, *_ = INDEX.on_route(np.array([-190.0, 0.0, 0.0]))
    assert left == pytest.approx(330.0)


@given(st.floats(-150, 140), st.floats(0.01, 5.0))
def test_progress_is_what_is_less_left(x, step):
    before, after = np.array([x, 0.5, 0.0]), np.array([x + step, 0.5, 0.0])
    gained = INDEX.on_route(before)[0] - INDEX.on_route(after)[0]
    assert gained == pytest.approx(relative_motion(before, after)[0], abs=1e-5)


@given(st.floats(-190.0, 190.0), st.floats(-15.0, 15.0))
def test_lanes_at_a_point(x, y):
    pytest.importorskip("cv2", reason="lane look-ups need OpenCV, which the simulators' extras bring")
    found = {lane.centre[0, 1] for lane in INDEX.lanes_at(np.array([x, y]))}
    for middle in (0.0, 3.5, 7.0):
        beyond = abs(y - middle) - 1.75
        if abs(beyond - SEAM) > 1e-3:
            assert (middle in found) == (beyond < SEAM)


def test_a_seam_between_lanes_is_not_a_gap():
    pytest.importorskip("cv2", reason="lane look-ups need OpenCV, which the simulators' extras bring")
    road = RoadMap((scenes.lane(0.0), scenes.lane(3.7)), (), ROAD.route)
    assert len(road_index(road).lanes_at(np.array([0.0, 1.85]))) == 2


@given(st.floats(-300, 300), st.floats(-300, 300), st.floats(0.0, 50.0))
def test_lanes_near_are_those_within_reach(x, y, reach):
    point = np.array([x, y])
    found = set(INDEX.lanes_near(point, reach))
    for i, lane in enumerate(ROAD.lanes):
        low, high = lane.polygon.min(0), lane.polygon.max(0)
        distance = np.hypot(*(point - np.clip(point, low, high)))
        if abs(distance - reach) > 1e-6:
            assert (i in found) == (distance < reach)


def test_a_map_without_lanes_or_lines():
    index = road_index(RoadMap((), (), ROAD.route))
    assert index.lanes_at(np.zeros(2)) == []
    assert (index.broken.shape, index.solid.shape) == ((0, 2, 2), (0, 2, 2))


def test_solid_lines_are_whole_and_broken_ones_are_dashes():
    def lengths(pieces):
        return np.hypot(*(pieces[:, 1] - pieces[:, 0]).T)

    assert lengths(INDEX.solid).sum() == pytest.approx(2 * 396)
    assert lengths(INDEX.broken).sum() == pytest.approx(2 * 396 / 3)
    assert lengths(INDEX.broken).max() == pytest.approx(3.0)


def test_the_index_is_kept_for_a_map():
    assert road_index(ROAD) is road_index(ROAD)
    assert road_index(circle()) is not road_index(circle())


@given(st.floats(-170.0, 149.0), st.floats(-4.0, 4.0), HEADINGS)
def test_waypoints_are_seen_from_the_ego(x, y, heading):
    points = INDEX.waypoints(np.array([x, y, heading]))
    assert (points.shape, points.dtype) == ((WAYPOINTS, 2), np.float32)
    # On a straight route along +x, and straight on past its end: 4 m apart on the line y = 0.
    world = np.stack([x + STATION * np.arange(1, WAYPOINTS + 1), np.zeros(WAYPOINTS)], -1)
    np.testing.assert_allclose(points, to_frame(world, np.array([x, y, heading])), atol=1e-4)


def test_waypoints_follow_a_bend():
    points = road_index(circle()).waypoints(np.array([30.0, 0.0, np.pi / 2]))
    assert np.abs(np.hypot(*np.diff(points, axis=0).T) - STATION).max() < 0.05
    # Counter-clockwise is to the left.
    np.testing.assert_allclose(points[-1], [30 * np.sin(4 / 3), 30 * (1 - np.cos(4 / 3))], atol=0.1)
