"""Which piece follows on which is learned, and kept to those that fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.training.rssm.roads.assembly import compatible, road_library
from learned_sim_env.training.rssm.roads.cutting import NOTHING, cut
from learned_sim_env.training.rssm.roads.succession import successors, trained
from tests.winding_roads import winding_road

# [1/m] A bend is always followed by one to the same side.
BENDS = (0.02, -0.02)


def maps(count: int):
    """Seeds and roads that bend twice, with one lane each way or two."""
    for seed in range(count):
        bend = BENDS[seed % 2]
        parts = ((60.0, 0.0), (50.0, bend), (50.0, 0.0), (50.0, bend), (70.0, 0.0))
        yield seed, winding_road(*parts, lanes=1 + seed // 2 % 2), NOTHING


@pytest.fixture(scope="module")
def pieces():
    return [piece for seed, road, _ in maps(20) for piece in cut(road, seed, np.random.default_rng(seed))]


def test_true_successors_are_likelier_than_others_that_fit(pieces):
    fits = compatible(pieces)
    net, said = trained(pieces, fits, 200, 0)
    assert said["nats"] > 0.3 and said["held_out"] > 0 and said["pairs"] > 4 * said["held_out"]
    _, none = trained(pieces, fits, 0, 0, held_out=10)
    assert "nats" not in none and none["held_out"] == 0
    follow = successors(net, pieces, fits)
    for first, some in enumerate(follow):
        assert pieces[first].exit is None or fits[first, some].all()


def test_a_library_is_made_of_what_goes_on_and_depends_on_the_seed_alone():
    library, said = road_library(maps(6), most=30, steps=5)
    again, _ = road_library(maps(6), most=30, steps=5)
    assert said["cut"] >= said["kept"] == library.sizes.pieces <= 30
    assert all(torch.equal(a, b) for a, b in zip(library.buffers(), again.buffers(), strict=True))
    with pytest.raises(ValueError, match="cut the maps of more scenarios"):
        road_library([(0, winding_road((20.0, 0.0)), NOTHING)])
