"""Boxes on class ids: as large as they are, where they are, whatever the order."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from learned_sim_env.rendering.boxes import paint_boxes, paint_ego
from learned_sim_env.spec import BevSpec, SemanticClass

BEV = BevSpec()
# The ego in the middle: a quarter turn of the world is a quarter turn of the picture.
SQUARE = BevSpec(65, 65, ego_row=32, ego_column=32)
VEHICLE = int(SemanticClass.VEHICLE)

HEADINGS = st.floats(-np.pi, np.pi)
SIZES = st.tuples(st.floats(1.2, 12.0), st.floats(1.2, 5.0))
# Boxes of up to 13 m here are in view as a whole.
INNER = st.tuples(st.floats(-4.0, 28.0), st.floats(-16.0, 16.0), HEADINGS)
ANYWHERE = st.tuples(st.floats(-60.0, 60.0), st.floats(-60.0, 60.0), HEADINGS)
CLASSES = st.sampled_from([SemanticClass.STATIC_OBJECT, SemanticClass.VEHICLE, SemanticClass.PEDESTRIAN]).map(int)
BOXES = st.lists(st.tuples(st.integers(0, 2), ANYWHERE, SIZES, CLASSES), max_size=8)


def painted(poses, sizes, classes=None, rows=None, views=1, bev=BEV) -> np.ndarray:
    """(views, H, W) uint8 with the boxes and nothing else."""
    image = np.zeros((views, bev.height, bev.width), np.uint8)
    n = len(poses)
    paint_boxes(
        image,
        np.zeros(n, np.int64) if rows is None else np.array(rows, np.int64),
        np.array(poses, float).reshape(n, 3),
        np.array(sizes, np.float32).reshape(n, 2),
        np.full(n, VEHICLE, np.uint8) if classes is None else np.array(classes, np.uint8),
        bev,
    )
    return image


@given(INNER, SIZES)
def test_painted_area_is_the_boxs(pose, size):
    """The pixels' squares cover the box shrunk by half a pixel's diagonal, and the box grown by it covers them."""
    area = (painted([pose], [size]) > 0).sum() * BEV.metres_per_pixel**2
    length, width = size
    r = BEV.metres_per_pixel / np.sqrt(2)
    perimeter = 2 * (length + width)
    assert max(length - 2 * r, 0) * max(width - 2 * r, 0) <= area + 1e-4
    assert area <= length * width + perimeter * r + np.pi * r**2 + 1e-4


@given(INNER, SIZES)
def test_painted_pixels_are_those_whose_centre_is_inside(pose, size):
    x, y, heading = pose
    offset = BEV.pixel_centres() - np.array([x, y])
    along = np.abs(offset @ [np.cos(heading), np.sin(heading)])
    across = np.abs(offset @ [-np.sin(heading), np.cos(heading)])
    drawn = painted([pose], [size])[0] == VEHICLE
    within = np.maximum(along - size[0] / 2, across - size[1] / 2)
    assert drawn[within < -1e-4].all()
    assert not drawn[within > 1e-4].any()


@given(ANYWHERE, SIZES)
def test_a_quarter_turn_of_the_world_turns_the_picture(pose, size):
    x, y, heading = pose
    turned = painted([(-y, x, heading + np.pi / 2)], [size], bev=SQUARE)[0] > 0
    # A centre that lies on an edge may be in or out.
    smaller, larger = (np.rot90(painted([pose], [np.array(size) + e], bev=SQUARE)[0]) > 0 for e in (-1e-3, 1e-3))
    assert (smaller <= turned).all()
    assert (turned <= larger).all()


@given(ANYWHERE, SIZES)
def test_front_and_back_look_the_same(pose, size):
    x, y, heading = pose
    back = painted([(x, y, heading + np.pi)], [size])[0] > 0
    smaller, larger = (painted([pose], [np.array(size) + e])[0] > 0 for e in (-1e-3, 1e-3))
    assert (smaller <= back).all()
    assert (back <= larger).all()


@given(st.floats(0, BEV.height - 1), st.floats(0, BEV.width - 1), HEADINGS, st.floats(0.05, 0.5))
def test_the_smallest_cone_is_seen_wherever_it_is(row, column, heading, size):
    x, y = (BEV.ego_row - row) * BEV.metres_per_pixel, (BEV.ego_column - column) * BEV.metres_per_pixel
    image = painted([(x, y, heading)], [(size, size)])[0]
    rows, columns = np.nonzero(image)
    assert 1 <= len(rows) <= 4
    assert np.hypot(rows - row, columns - column).max() <= 1.0 + 1e-4


@given(BOXES, st.randoms(use_true_random=False))
def test_higher_classes_cover_lower_ones_in_any_order(boxes, random):
    shuffled = random.sample(boxes, len(boxes))
    one_by_one = [painted([pose], [size], [kind]) for _, pose, size, kind in boxes]
    for order in (boxes, shuffled):
        together = painted([b[1] for b in order], [b[2] for b in order], [b[3] for b in order])
        assert np.array_equal(together, np.max([np.zeros_like(together), *one_by_one], axis=0))


@given(BOXES)
def test_views_are_independent(boxes):
    rows, poses, sizes, classes = zip(*boxes) if boxes else ((), (), (), ())
    together = painted(poses, sizes, classes, rows, views=3)
    for row in range(3):
        own = [b[1:] for b in boxes if b[0] == row]
        alone = painted(*zip(*own)) if own else painted((), ())
        assert np.array_equal(together[row], alone[0])


@given(st.floats(60.0, 1e6), HEADINGS, HEADINGS, SIZES)
def test_what_is_outside_is_ignored(distance, direction, heading, size):
    pose = (distance * np.cos(direction), distance * np.sin(direction), heading)
    assert not painted([pose], [size]).any()


def test_a_box_across_the_border_shows_its_inner_part():
    front = BEV.ego_row * BEV.metres_per_pixel
    image = painted([(front, 0.0, 0.0)], [(6.0, 3.0)])[0]
    rows, columns = np.nonzero(image)
    assert (rows.min(), rows.max()) == (0, 4)
    assert (columns.min(), columns.max()) == (30, 34)


def test_only_boxes_change_the_picture():
    image = np.full((1, 64, 64), SemanticClass.ROAD, np.uint8)
    paint_boxes(image, np.zeros(1, int), np.zeros((1, 3)), np.full((1, 2), 3.0), np.full(1, VEHICLE), BEV)
    drawn = painted([(0, 0, 0)], [(3.0, 3.0)])[0] > 0
    assert (image[0][drawn] == VEHICLE).all()
    assert (image[0][~drawn] == SemanticClass.ROAD).all()


@given(st.floats(2.0, 8.0), st.floats(1.2, 3.0))
def test_the_ego_is_a_box_at_its_pixel(length, width):
    image = np.zeros((2, 64, 64), np.uint8)
    paint_ego(image, length, width, BEV)
    rows, columns = np.nonzero(image[1])
    assert set(image[1, rows, columns]) == {SemanticClass.EGO}
    assert (rows.mean(), columns.mean()) == (BEV.ego_row, BEV.ego_column)
    assert np.ptp(rows) == 2 * (length / 2 // BEV.metres_per_pixel)
    assert np.ptp(columns) == 2 * (width / 2 // BEV.metres_per_pixel)
    assert np.array_equal(*image)
