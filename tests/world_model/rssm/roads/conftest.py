from __future__ import annotations

import pytest

from learned_sim_env.training.rssm.roads.assembly import with_roads
from tests.winding_roads import library_of, winding_pieces


@pytest.fixture(scope="session")
def pieces():
    return winding_pieces()


@pytest.fixture(scope="session")
def library(pieces):
    return library_of(pieces)


@pytest.fixture
def road_model(model, library):
    """The untrained model, with pieces of road."""
    return with_roads(model, library).requires_grad_(False)
