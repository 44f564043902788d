"""A library is read as it was written, and knows where its routes lead."""

from __future__ import annotations

import math

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import save_file

from learned_sim_env.world_model.rssm.roads.library import ROUTE_STEP, RoadLibrary


def test_it_is_read_as_it_was_written(library, tmp_path):
    library.save(tmp_path / "roads.safetensors")
    again = RoadLibrary.load(tmp_path / "roads.safetensors")
    assert again.sizes == library.sizes
    assert all(torch.equal(a, b) for a, b in zip(library.buffers(), again.buffers(), strict=True))


def test_other_files_are_none(library, tmp_path):
    with pytest.raises(FileNotFoundError, match="no library of pieces of road"):
        RoadLibrary.load(tmp_path / "roads.safetensors")
    tables = library.state_dict()
    save_file({name: table for name, table in tables.items() if name != "turns"}, tmp_path / "roads.safetensors")
    with pytest.raises(ValueError, match="other tables are turns"):
        RoadLibrary.load(tmp_path / "roads.safetensors")


@pytest.mark.skipif(not dist.is_available(), reason="this build of torch trains in one process alone")
def test_processes_that_train_together_can_exchange_its_tables(library):
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        for table in library.buffers():
            dist.broadcast(table, 0)
    finally:
        dist.destroy_process_group()


def test_routes_are_followed_up_to_the_exit_and_straight_on(library):
    piece = torch.arange(library.sizes.pieces)
    length = library.length
    at, heading = library.on_the_route(piece, length)
    exits = library.exit_pose
    assert torch.allclose(torch.view_as_real(at), exits[:, :2], atol=1e-4)
    assert torch.allclose(heading, exits[:, 2])
    beyond, _ = library.on_the_route(piece, length + 10.0)
    assert torch.allclose((beyond - at).abs(), torch.full_like(length, 10.0), atol=1e-4)
    # In steps it is as long as it says; in a bend chords are a little shorter.
    arcs = torch.arange(0, 20, ROUTE_STEP / 4)
    along, _ = library.on_the_route(piece[:1, None].expand(1, len(arcs)), arcs[None])
    assert (along[0, 1:] - along[0, :-1]).abs().sum() == pytest.approx(float(arcs[-1]), rel=0.01)
    assert math.isclose(along[0, 0].abs().item(), 0, abs_tol=1e-5)
