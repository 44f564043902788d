"""Where imagined road is road, before it is drawn."""

from __future__ import annotations

import numpy as np
import torch

from learned_sim_env.road import STATION, STATIONS
from learned_sim_env.spec import SemanticClass
from learned_sim_env.world_model.geometry import place, product, turn
from learned_sim_env.world_model.rssm.map.memory import CLASS, UNKNOWN
from learned_sim_env.world_model.rssm.roads import plan
from learned_sim_env.world_model.rssm.roads.library import LEAD, SECTION_STEP
from learned_sim_env.world_model.rssm.roads.painting import RoadPainter
from learned_sim_env.world_model.rssm.roads.surface import laid
from learned_sim_env.world_model.rssm.route.path import beside


def test_it_is_where_road_will_be_painted(library):
    b = 6
    state = plan.empty(b, "cpu")
    state["road_piece"][:, -1] = torch.arange(b)
    state["road_pose"][:, -1] = torch.tensor([3.0, -2.0, 0.4])
    # A chain that lies on the piece's route, up to 60 m from its entry.
    arcs = (torch.arange(STATIONS + 2) - 1) * STATION + 4.0
    at, _ = library.on_the_route(torch.arange(b)[:, None].expand(-1, len(arcs)), arcs.expand(b, -1))
    at = product(at, turn(torch.tensor(0.4))) + place(torch.tensor([3.0, -2.0]))
    chords = (at[:, 1:] - at[:, :-1]).angle()
    state["route"] = torch.cat([torch.view_as_real(at[:, :-1]), chords[..., None]], -1)
    state["road_arc"][:] = arcs[-2]
    painter, size, metres = RoadPainter(library, 128, 0.75), 128, 0.75
    agreed, road = [], []
    for row in range(b):
        cells, origin = np.full((size, size), UNKNOWN, np.int16), np.array([-32, -64])
        pieces = (state[name][row].numpy() for name in plan.LAID)
        painter.paint(cells, origin, *pieces)
        u, v = np.meshgrid(np.arange(-10, 60), np.arange(-40, 41), indexing="ij")
        shown = torch.from_numpy(cells[u % size, v % size].reshape(-1) & CLASS)
        points = torch.from_numpy(np.stack([u, v], -1).reshape(1, -1, 2) * metres).float()
        by = beside(state["route"][row : row + 1], points)
        one = {name: value[row : row + 1] for name, value in state.items()}
        said = laid(library, one, by.arc, by.across)[0]
        known = (shown != UNKNOWN) & (by.arc[0] > 2) & (by.arc[0] < 40) & (by.across[0].abs() < 15)
        truly = (shown >= int(SemanticClass.ROAD)) & (shown <= int(SemanticClass.SOLID_LINE))
        agreed.append((said == truly)[known].float().mean())
        road.append(truly[known].float().mean())
    assert min(agreed) > 0.85
    assert min(road) > 0.1 and max(road) < 0.9


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
