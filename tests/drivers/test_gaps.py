"""Gaps are to the next one straight ahead, in pictures as in class ids."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.drivers.gaps import gaps_ahead
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.spec import SemanticClass
from tests.drivers.road import road


def test_the_gap_is_to_the_next_one_straight_ahead():
    views = np.zeros((2, 64, 64), np.uint8)
    views[1, 8:12, 32] = SemanticClass.VEHICLE
    views[1, 20:30, 40] = SemanticClass.VEHICLE  # in another lane
    views[1, 50:60, 32] = SemanticClass.VEHICLE  # behind
    np.testing.assert_allclose(gaps_ahead(views), [np.inf, (48 - 11) * 0.75 - 2.5])


def test_pictures_tell_the_same_as_class_ids():
    views = np.concatenate([road(row) for row in (None, 10, 20, 44)])
    gaps = gaps_ahead(views)
    assert gaps.dtype == np.float32 and gaps[0] == np.inf and (np.diff(gaps[1:]) < 0).all()
    np.testing.assert_array_equal(gaps_ahead(colourise(views)), gaps)


def test_other_colours_are_refused():
    with pytest.raises(ValueError, match="not in the palette"):
        gaps_ahead(np.full((1, 64, 64, 3), 7, np.uint8))
