from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.training.rssm.roads.assembly import assembled, compatible, with_roads
from learned_sim_env.training.rssm.roads.cutting import cut
from learned_sim_env.world_model.rssm.roads.library import SUCCESSORS
from tests.winding_roads import winding_road

BENDS = (0.0, 0.02, -0.02)


@pytest.fixture(scope="session")
def pieces():
    found = []
    for number, bend in enumerate(BENDS):
        road_map = winding_road((60.0, 0.0), (50.0, bend), (90.0, 0.0), side_road=bend == 0.0)
        for phase in range(6):
            found += list(cut(road_map, number, np.random.default_rng(phase)))
    return found


@pytest.fixture(scope="session")
def library(pieces):
    fits = compatible(pieces)
    chosen = np.stack([np.resize(np.flatnonzero(row) if row.any() else [0], SUCCESSORS) for row in fits])
    return assembled(pieces, chosen)


@pytest.fixture
def road_model(model, library):
    """The untrained model, with pieces of road."""
    return with_roads(model, library).requires_grad_(False)
