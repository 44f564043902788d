"""The bird's-eye view of roads whose edges and markings are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learned_sim_env.rendering.bev import BevRenderer
from learned_sim_env.scene import Line, RoadMap
from learned_sim_env.spec import NUM_MAP_CLASSES, BevSpec, SemanticClass
from tests import scenes

pytest.importorskip("cv2", reason="drawing roads needs OpenCV, which the simulators' extras bring")

BEV = BevSpec()
M = BEV.metres_per_pixel
RENDERER = BevRenderer(BEV)
OFF_ROAD, ROAD, ROUTE, BROKEN, SOLID, OBJECT, VEHICLE, PEDESTRIAN, EGO = map(int, SemanticClass)
# Fractions of a pixel that are exact in binary and in fixed point: shifts by whole pixels are then exact too.
PIECES = st.integers(-3000, 3000).map(lambda i: i * M / 64)

CROWD = scenes.agents(
    (SemanticClass.VEHICLE, 14.0, 3.5, 0.1, 4.6, 1.9),
    (SemanticClass.PEDESTRIAN, 6.0, -4.0, 1.0, 0.6, 0.6),
    (SemanticClass.STATIC_OBJECT, 22.0, -1.0, 0.4, 0.4, 0.4),
    (SemanticClass.VEHICLE, -8.0, 7.0, 3.1, 10.0, 2.5),
)


def runs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where runs of True begin and how long they are."""
    edges = np.diff(np.concatenate([[0], mask.astype(int), [0]]))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)


def column_of(y: float) -> int:
    return round(BEV.ego_column - y / M)


def test_the_view_is_class_ids():
    semantic = RENDERER.semantic(scenes.scene(others=CROWD))
    assert (semantic.shape, semantic.dtype) == ((64, 64), np.uint8)
    assert set(semantic.ravel()) == set(SemanticClass)


def test_the_ego_stays_at_its_pixel():
    for pose in ((0.0, 0.0, 0.0), (33.3, 5.0, 2.0)):
        x, y, heading = pose
        rows, columns = np.nonzero(RENDERER.semantic(scenes.scene(x=x, y=y, heading=heading)) == EGO)
        assert (rows.mean(), columns.mean()) == (48, 32)
        # 4.5 m by 1.8 m: three pixels before and behind the middle, one at each side.
        assert (np.ptp(rows), np.ptp(columns)) == (6, 2)


@given(st.floats(2.5, 8.0), PIECES)
def test_a_lane_is_as_wide_as_it_is(width, x):
    road = RoadMap((scenes.lane(0.0, width),), (), scenes.straight_road().route)
    starts, lengths = zip(*(runs(row == ROAD) for row in RENDERER.map_layer(scenes.scene(road, x=x))))
    assert {len(s) for s in starts} == {1}
    assert len(set(map(tuple, lengths))) == 1, "its edges are straight"
    # Pixels that the edges cross belong to the lane.
    assert width / M - 1 <= lengths[0] <= width / M + 2
    middle = starts[0][0] + (lengths[0][0] - 1) / 2
    assert abs(middle - BEV.ego_column) <= 1


def test_lanes_lie_where_they_are():
    image = RENDERER.map_layer(scenes.scene())
    for y, kind in ((0.0, ROUTE), (3.5, ROAD), (7.0, ROAD), (12.0, OFF_ROAD), (-4.0, OFF_ROAD)):
        assert (image[:, column_of(y)] == kind).all()


@pytest.mark.parametrize("order", [1, -1])
def test_the_route_is_painted_over_the_road(order):
    wide, narrow = scenes.lane(0.0, 12.0), scenes.lane(0.0, 3.5, on_route=True)
    image = RENDERER.map_layer(scenes.scene(RoadMap((wide, narrow)[::order], (), scenes.straight_road().route)))
    assert (image[:, column_of(0.0)] == ROUTE).all()
    assert (image[:, column_of(5.0)] == ROAD).all()


def test_markings_are_painted_over_lanes():
    image = RENDERER.map_layer(scenes.scene())
    for y in (-1.75, 8.75):
        assert (image[:, column_of(y)] == SOLID).all()
    for y in (1.75, 5.25):
        assert set(image[:, column_of(y)]) >= {BROKEN}
        assert SOLID not in image[:, column_of(y)]
    where_both = RoadMap(scenes.straight_road().lanes, (scenes.line(0.0), scenes.line(0.0, broken=True)), np.eye(2))
    assert (RENDERER.map_layer(scenes.scene(where_both))[:, column_of(0.0)] == SOLID).all()


@given(PIECES)
def test_broken_lines_are_dashes_of_3_m_every_9_m(x):
    image = RENDERER.map_layer(scenes.scene(x=x))
    starts, lengths = runs(image[:, column_of(1.75)] == BROKEN)
    assert len(starts) in (5, 6)
    # Those at the border are cut.
    assert (np.diff(starts[1:]) == 9 / M).all()
    assert set(lengths[1:-1]) <= {3 / M, 3 / M + 1}


def test_dashes_are_as_the_map_says():
    marking = scenes.line(0.0, broken=True, dash=1.5, period=6.0)
    image = RENDERER.map_layer(scenes.scene(RoadMap(scenes.straight_road().lanes, (marking,), np.eye(2))))
    starts, lengths = runs(image[:, column_of(0.0)] == BROKEN)
    assert len(starts) > 6
    assert (np.diff(starts[1:]) == 6 / M).all()
    assert set(lengths[1:-1]) <= {1.5 / M, 1.5 / M + 1}


@given(PIECES, st.integers(0, 30))
def test_driving_forward_moves_the_map_back(x, pixels):
    before = RENDERER.map_layer(scenes.scene(x=x))
    after = RENDERER.map_layer(scenes.scene(x=x + pixels * M))
    assert np.array_equal(after[pixels:], before[: 64 - pixels])
    if pixels % 12:
        assert not np.array_equal(after, before), "motion along a straight road can be seen"


def curved_road() -> RoadMap:
    """Two lanes of a quarter circle around (0, 40), starting at the origin towards +x."""
    angle = np.linspace(-0.5, np.pi / 2, 80)

    def arc(radius: float) -> np.ndarray:
        return np.stack([radius * np.sin(angle), 40 - radius * np.cos(angle)], -1)

    def lane(radius: float, **more):
        outline = np.concatenate([arc(radius - 1.75), arc(radius + 1.75)[::-1]])
        return scenes.Lane(outline, arc(radius), **more)

    lanes = (lane(40.0, on_route=True), lane(36.5))
    lines = (Line(arc(41.75)), Line(arc(38.25), broken=True), Line(arc(34.75)))
    return RoadMap(lanes, lines, arc(40.0))


@pytest.mark.parametrize("road", [scenes.straight_road(), curved_road()], ids=["straight", "curve"])
@given(
    dx=st.floats(-500, 500),
    dy=st.floats(-500, 500),
    turn=st.floats(-np.pi, np.pi),
    y=st.floats(-2, 2),
    heading=st.floats(-0.5, 0.5),
)
def test_it_does_not_matter_where_in_the_world_one_is(road, dx, dy, turn, y, heading):
    before = scenes.scene(road, CROWD, y=y, heading=heading)
    image, other = RENDERER.semantic(before), RENDERER.semantic(scenes.moved(before, dx, dy, turn))
    assert (image == other).mean() >= 0.98


@given(st.floats(-30.0, 30.0), st.floats(-15.0, 15.0), st.floats(-np.pi, np.pi))
def test_agents_are_drawn_where_the_ego_sees_them(x, y, heading):
    """An agent 15 m before and 6 m to the left of the ego, wherever the ego is."""
    c, s = np.cos(heading), np.sin(heading)
    there = (x + 15 * c - 6 * s, y + 15 * s + 6 * c, heading, 3.0, 1.5)
    semantic = RENDERER.semantic(
        scenes.scene(others=scenes.agents((SemanticClass.VEHICLE, *there)), x=x, y=y, heading=heading)
    )
    rows, columns = np.nonzero(semantic == VEHICLE)
    assert rows.mean() == pytest.approx(48 - 15 / M, abs=0.5)
    assert columns.mean() == pytest.approx(32 - 6 / M, abs=0.5)
    assert (np.ptp(rows), np.ptp(columns)) == (pytest.approx(4, abs=1), pytest.approx(2, abs=1))


def test_agents_cover_the_map_and_the_ego_covers_agents():
    behind = scenes.agents((SemanticClass.PEDESTRIAN, 0.0, 0.0, 0.0, 6.0, 6.0))
    here = scenes.scene(others=behind)
    semantic, map_layer = RENDERER.semantic(here), RENDERER.map_layer(here)
    assert map_layer.max() < NUM_MAP_CLASSES
    assert semantic[48, 32] == EGO
    assert (semantic[44:53, 28:37] >= PEDESTRIAN).all()
    outside = semantic < NUM_MAP_CLASSES
    assert np.array_equal(semantic[outside], map_layer[outside])


def test_the_map_can_be_drawn_once():
    here = scenes.scene(others=CROWD)
    map_layer = RENDERER.map_layer(here)
    before = map_layer.copy()
    assert np.array_equal(RENDERER.semantic(here, map_layer), RENDERER.semantic(here))
    assert np.array_equal(map_layer, before)


def test_nothing_near_is_off_road():
    assert not RENDERER.map_layer(scenes.scene(y=500.0)).any()
    assert not RENDERER.map_layer(scenes.scene(RoadMap((), (), np.eye(2)))).any()


def test_another_geometry():
    bev = BevSpec(height=40, width=81, metres_per_pixel=0.5, ego_row=30, ego_column=10)
    image = BevRenderer(bev).semantic(scenes.scene())
    assert image.shape == (40, 81)
    rows, columns = np.nonzero(image == EGO)
    assert (rows.mean(), columns.mean()) == (30, 10)
    assert (image[:, 75] == OFF_ROAD).all()
    assert (image[:, 12] == ROUTE).sum() > 20


def test_a_closed_stop_line_is_a_solid_line_until_it_opens():
    renderer, open_road = BevRenderer(BevSpec()), scenes.scene()
    across = Line(np.array([(15.0, 1.75), (15.0, -1.75)]))
    closed = renderer.map_layer(replace(open_road, closed_lines=(across,)))
    assert closed[48 - 20, 32] == SemanticClass.SOLID_LINE
    assert renderer.map_layer(open_road)[48 - 20, 32] == SemanticClass.ROUTE
