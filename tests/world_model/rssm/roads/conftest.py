from __future__ import annotations

import copy

import pytest
import torch

from learned_sim_env.training.rssm.roads.assembly import with_roads
from tests.winding_roads import library_of, winding_pieces


@pytest.fixture(scope="session")
def pieces():
    return winding_pieces()


@pytest.fixture(scope="session")
def library(pieces):
    return library_of(pieces)


@pytest.fixture(scope="session")
def coned(library):
    """The same library, but that two cones stand in the way on every piece."""
    coned = copy.deepcopy(library)
    arcs = torch.tensor([20.0, 32.0]).expand(library.sizes.pieces, 2)
    at, _ = library.on_the_route(torch.arange(library.sizes.pieces)[:, None].expand(-1, 2), arcs)
    coned.objects[:, :2] = torch.cat([torch.view_as_real(at), arcs[..., None]], -1)
    return coned


@pytest.fixture
def road_model(model, library):
    """The untrained model, with pieces of road."""
    return with_roads(model, library).requires_grad_(False)
