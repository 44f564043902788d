"""Where imagined road is road, before it is drawn."""

from __future__ import annotations

import numpy as np
import torch

from learned_sim_env.road import STATION, STATIONS
from learned_sim_env.spec import SemanticClass
from learned_sim_env.world_model.geometry import place, product, turn
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.map.memory import CLASS, UNKNOWN
from learned_sim_env.world_model.rssm.roads import plan
from learned_sim_env.world_model.rssm.roads.library import LEAD, SECTION_STEP
from learned_sim_env.world_model.rssm.roads.painting import RoadPainter
from learned_sim_env.world_model.rssm.roads.surface import laid, told
from learned_sim_env.world_model.rssm.route.path import beside

BOX = np.meshgrid(np.arange(-10, 60), np.arange(-40, 41), indexing="ij")
PIECES, CELL = 6, 0.75


def laid_out(library) -> tuple[State, torch.Tensor, torch.Tensor]:
    """A state of a row for each of some pieces, which the route follows up to 60 m from its entry; places (1, N, 2) in
    the frame of it, and the classes (B, N) that are painted there.
    """
    state = {**plan.empty(PIECES, "cpu"), "pose": torch.zeros(PIECES, 3)}
    state["road_piece"][:, -1] = torch.arange(PIECES)
    state["road_pose"][:, -1] = torch.tensor([3.0, -2.0, 0.4])
    arcs = (torch.arange(STATIONS + 2) - 1) * STATION + 4.0
    at, _ = library.on_the_route(torch.arange(PIECES)[:, None].expand(-1, len(arcs)), arcs.expand(PIECES, -1))
    at = product(at, turn(torch.tensor(0.4))) + place(torch.tensor([3.0, -2.0]))
    chords = (at[:, 1:] - at[:, :-1]).angle()
    state["route"] = torch.cat([torch.view_as_real(at[:, :-1]), chords[..., None]], -1)
    state["road_arc"][:] = arcs[-2]
    painter, size = RoadPainter(library, 128, CELL), 128
    shown = []
    for row in range(PIECES):
        cells, origin = np.full((size, size), UNKNOWN, np.int16), np.array([-32, -64])
        painter.paint(cells, origin, *(state[name][row].numpy() for name in plan.LAID))
        shown.append(torch.from_numpy(cells[BOX[0] % size, BOX[1] % size].reshape(-1) & CLASS))
    return state, torch.from_numpy(np.stack(BOX, -1).reshape(1, -1, 2) * CELL).float(), torch.stack(shown)


def test_it_is_where_road_will_be_painted(library):
    state, points, shown = laid_out(library)
    by = beside(state["route"], points.expand(PIECES, -1, -1))
    said = laid(library, state, by.arc, by.across)
    known = (shown != UNKNOWN) & (by.arc > 2) & (by.arc < 40) & (by.across.abs() < 15)
    truly = (shown >= int(SemanticClass.ROAD)) & (shown <= int(SemanticClass.SOLID_LINE))
    assert all((said == truly)[row][known[row]].float().mean() > 0.85 for row in range(PIECES))
    road = [float(truly[row][known[row]].float().mean()) for row in range(PIECES)]
    assert min(road) > 0.1 and max(road) < 0.9


def test_what_was_not_seen_is_told_as_it_will_be_painted(library):
    state, points, shown = laid_out(library)
    points = points.expand(PIECES, -1, -1)
    state["road_piece"][0, -1] = -1
    seen = torch.full(shown.shape, UNKNOWN, dtype=torch.uint8)
    seen[:, ::3] = int(SemanticClass.BROKEN_LINE)
    ids = told(library, state, points, seen)
    assert torch.equal(ids[0], seen[0]), "there is no piece"
    assert (ids[:, ::3] == seen[:, ::3]).all(), "what was seen is as it was"
    by, kinds = beside(state["route"], points), (SemanticClass.OFF_ROAD, SemanticClass.ROAD, SemanticClass.ROUTE)
    near = (by.arc > 2) & (by.arc < 40) & (by.across.abs() < 12) & (seen == UNKNOWN)
    near &= torch.stack([shown == int(kind) for kind in kinds]).any(0)
    near[0] = False
    assert (ids == shown)[near].float().mean() > 0.8
    for kind in kinds:
        assert (ids == int(kind))[near & (shown == int(kind))].float().mean() > 0.6, kind


def test_before_a_piece_is_laid_it_is_where_the_likeliest_would_have_road(library):
    state = plan.empty(1, "cpu")
    state["road_piece"][:, -1] = 2
    state["road_arc"][:] = 70.0
    arc, across = torch.meshgrid(torch.arange(10.0, 50.0, 2.0), torch.arange(-15.0, 15.0, 1.5), indexing="ij")
    arc, across = arc.reshape(1, -1), across.reshape(1, -1)
    there = laid(library, state, arc, across)
    assert 0 < there.float().mean() < 1
    # The rim's station is 24 m on along the same piece, and moved from there by 8 m since.
    rim = 5
    before = plan.empty(1, "cpu")
    before["road_rim"][:] = rim
    before["road_arc"][:] = 8.0
    section = LEAD + round((70.0 - (STATIONS - rim) * STATION - 8.0) / SECTION_STEP)
    before["road_options"][:, :, 0], before["road_options"][:, :, 1] = 2, section
    assert (laid(library, before, arc, across) == there).float().mean() > 0.95


def test_without_pieces_there_is_none(library):
    none = torch.zeros(2, 5)
    assert not laid(library, plan.empty(2, "cpu"), none, none).any()
