"""Class ids to colours and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from learned_sim_env.rendering.palette import classes_of, colourise
from learned_sim_env.spec import NUM_CLASSES, PALETTE

SHAPES = hnp.array_shapes(min_dims=2, max_dims=4, max_side=7)
CLASS_IDS = hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, NUM_CLASSES - 1))


@given(CLASS_IDS)
def test_there_and_back(ids):
    image = colourise(ids)
    assert (image.shape, image.dtype) == ((*ids.shape, 3), np.uint8)
    assert np.array_equal(image, PALETTE[ids])
    back = classes_of(image)
    assert back.dtype == np.uint8
    assert np.array_equal(back, ids)


@given(hnp.arrays(np.uint8, (6, 8), elements=st.integers(0, NUM_CLASSES - 1)))
def test_views_that_are_not_contiguous(ids):
    for view in (ids.T, ids[:, ::2], ids[::-1], ids[:, 1:7]):
        assert np.array_equal(colourise(view), PALETTE[view])
        assert np.array_equal(classes_of(colourise(ids).swapaxes(0, 1)), ids.T)


def test_colours_are_a_copy():
    image = colourise(np.zeros((2, 2), np.uint8))
    image[:] = 0
    assert np.array_equal(colourise(np.zeros((2, 2), np.uint8)), np.broadcast_to(PALETTE[0], (2, 2, 3)))


@given(st.tuples(*[st.integers(0, 255)] * 3), st.integers(0, 3), st.integers(0, 4))
def test_another_colour_is_named(colour, row, column):
    image = colourise(np.full((4, 5), 3, np.uint8))
    image[row, column] = colour
    if list(colour) in PALETTE.tolist():
        assert np.array_equal(PALETTE[classes_of(image)], image)
    else:
        with pytest.raises(ValueError, match=r"not in the palette") as raised:
            classes_of(image)
        assert str(tuple(colour)) in str(raised.value)
