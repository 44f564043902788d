import math

import pytest
import torch

from learned_sim_env.road import STATIONS
from learned_sim_env.spec import CONTRACTS, SemanticClass
from learned_sim_env.world_model.layers import unpatch
from learned_sim_env.world_model.rssm.line_pieces import CLASS, OTHER_AT
from learned_sim_env.world_model.rssm.map.cross_section import BINS, markings_at, read_section, sweep
from learned_sim_env.world_model.rssm.map.decoder import MapDecoder, Roadway
from learned_sim_env.world_model.rssm.map.memory import MARGIN, UNKNOWN
from learned_sim_env.world_model.rssm.route.path import Beside, beside, chain

BEV = CONTRACTS["driving"].bev
PATCH = 8
# A road straight ahead, by columns right of the view's left edge, in pixels.
EDGES, MIDDLE, DIVIDER = (22, 42), 32, 37


def straight_road():
    """A view of a road along the route: solid edges, a dashed divider, the route's lane on its right half."""
    view = torch.full((1, BEV.height, BEV.width), int(SemanticClass.OFF_ROAD), dtype=torch.uint8)
    view[:, :, EDGES[0] : EDGES[1] + 1] = int(SemanticClass.ROAD)
    view[:, :, MIDDLE : EDGES[1]] = int(SemanticClass.ROUTE)
    for edge in EDGES:
        view[:, :, edge] = int(SemanticClass.SOLID_LINE)
    # 3 m of dash every 9 m are 4 of 12 pixels.
    dashes = torch.arange(BEV.height) % 12 < 4
    view[:, dashes, DIVIDER] = int(SemanticClass.BROKEN_LINE)
    return view


def canvas_of(view):
    size = (1, BEV.height + 2 * MARGIN, BEV.width + 2 * MARGIN)
    canvas = torch.full(size, UNKNOWN, dtype=torch.uint8)
    canvas[:, MARGIN:-MARGIN, MARGIN:-MARGIN] = view
    return canvas


def swept(canvas, route):
    middles = MapDecoder(BEV, 4, 8).middles[None]
    ids = sweep(read_section(canvas, route, BEV), beside(route, middles), BEV, PATCH)
    return unpatch(ids, *canvas.shape[1:], PATCH)[..., 0]


STRAIGHT = chain(torch.zeros(1, STATIONS), torch.zeros(1, 6))


def test_a_straight_road_goes_on_as_it_is():
    view = straight_road()
    hidden = view.clone()
    hidden[:, :30] = UNKNOWN
    out = swept(canvas_of(hidden), STRAIGHT)[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    inner = slice(BEV.ego_column - 20, BEV.ego_column + 20)
    right = out[0, :30, inner] == view[0, :30, inner]
    assert right.float().mean() > 0.98
    for line in (*EDGES, DIVIDER):
        assert right[:, line - inner.start].float().mean() > 0.8
    assert (out[0, :30, [0, -1]] == UNKNOWN).all()


def test_the_road_follows_the_route():
    turns = torch.full((1, STATIONS), 0.1)
    turns[:, :4] = 0
    hidden = straight_road()
    hidden[:, : BEV.ego_row - 16] = UNKNOWN
    route = chain(turns.cumsum(1), torch.zeros(1, 6))
    out = swept(canvas_of(hidden), route)[0]
    for x, y, _ in route[0, 5:9].tolist():
        row, column = (
            BEV.ego_row + MARGIN - x / BEV.metres_per_pixel,
            BEV.ego_column + MARGIN - y / BEV.metres_per_pixel,
        )
        around = out[round(row) - 2 : round(row) + 3, round(column) - 2 : round(column) + 3]
        assert ((around == SemanticClass.ROAD) | (around == SemanticClass.ROUTE)).float().mean() > 0.8
    # It bends to the left, so the straight continuation is off the road.
    assert (out[:MARGIN, BEV.ego_column + MARGIN + 4 : BEV.ego_column + MARGIN + 9] != SemanticClass.ROUTE).all()


def test_nothing_known_is_nothing_proposed():
    canvas = torch.full((2, 80, 80), UNKNOWN, dtype=torch.uint8)
    section = read_section(canvas, STRAIGHT.expand(2, -1, -1), BEV)
    assert (section.profile == UNKNOWN).all() and section.profile.shape == (2, 2, BINS + 2)


def test_what_is_farthest_along_the_route_counts():
    view = straight_road()
    # The left half of the road ends in the middle of what is known.
    view[:, :40, : MIDDLE - 1] = int(SemanticClass.OFF_ROAD)
    view[:, :20] = UNKNOWN
    section = read_section(canvas_of(view), STRAIGHT, BEV)
    left = section.profile[0, 1, BINS // 2 + 4 : BINS // 2 + 10]
    assert (left == SemanticClass.OFF_ROAD).all()


@pytest.mark.parametrize("turned", [0.0, 0.3, 1.2, -0.8])
def test_markings_are_as_thin_as_a_grid_allows_and_have_no_gaps(turned):
    section = read_section(canvas_of(straight_road()), STRAIGHT, BEV)
    # The places of a grid in whose frame the road is turned.
    m = BEV.metres_per_pixel
    steps = torch.arange(-20, 21) * m
    grid = torch.cartesian_prod(steps, steps)
    along = grid[:, 0] * math.cos(turned) + grid[:, 1] * math.sin(turned)
    across = grid[:, 1] * math.cos(turned) - grid[:, 0] * math.sin(turned)
    beside = Beside(along, across, torch.zeros(len(grid)), torch.zeros(len(grid), dtype=torch.long))
    found = markings_at(
        section, torch.zeros(len(grid), dtype=torch.long), beside, torch.full((len(grid),), turned), BEV
    )
    found = found & CLASS
    solid = (found == SemanticClass.SOLID_LINE).view(41, 41)
    for edge in EDGES:
        lies = (BEV.ego_column - edge) * m
        line = solid & ((across - lies).abs() < 1.5 * m).view(41, 41)
        # One in every row of the grid, or in every column, where the line runs through all of them.
        counts = line.sum(0 if abs(math.cos(turned)) < math.sin(math.pi / 4) else 1)
        assert (counts <= 2).all() and (counts[15:26] >= 1).all()
        assert (across[line.flatten()] - lies).abs().max() < 0.55 * m
    # Between the markings it is what it was.
    middle = (across > -3.0) & (across < -0.5)
    assert (found[middle] == SemanticClass.ROUTE).all()


def test_a_marking_at_the_border_of_what_is_known_is_drawn_on_nothing_unknown():
    view = straight_road()
    view[:, :, : EDGES[0]] = UNKNOWN
    section = read_section(canvas_of(view), STRAIGHT, BEV)
    across = torch.linspace(-20, 20, 321)
    beside = Beside(torch.full_like(across, 9.0), across, torch.zeros_like(across), torch.zeros(321, dtype=torch.long))
    found = markings_at(section, torch.zeros(321, dtype=torch.long), beside, torch.zeros(321), BEV)
    told = found != UNKNOWN
    assert told.any() and not told.all()
    assert ((found[told] & CLASS) != UNKNOWN).all() and ((found[told] >> OTHER_AT & CLASS) != UNKNOWN).all()


def test_where_markings_lie_is_known_by_less_than_a_pixel():
    # The ego is a third of a pixel aside of where the route is, so that all markings are.
    ego = torch.zeros(1, 6)
    ego[:, 4] = 0.25
    route = chain(torch.zeros(1, STATIONS), ego)
    section = read_section(canvas_of(straight_road()), route, BEV)
    for edge in EDGES:
        lies = (BEV.ego_column - edge) * BEV.metres_per_pixel + 0.25
        place = round(lies / BEV.metres_per_pixel)
        seen = place * BEV.metres_per_pixel + section.aside[0, place + BINS // 2 + 1]
        assert seen.item() == pytest.approx(lies, abs=0.02)


def test_road_is_drawn_one_cell_beyond_the_canvas_because_pixels_at_its_border_touch_those():
    canvas, middles = canvas_of(straight_road()), MapDecoder(BEV, 4, 8).middles
    section, by = read_section(canvas, STRAIGHT, BEV), beside(STRAIGHT, middles[None])
    road = Roadway(section, by, middles, torch.ones_like(canvas, dtype=torch.bool), BEV)
    m = BEV.metres_per_pixel
    ahead, aside = (BEV.ego_row + MARGIN) * m, (BEV.ego_column - EDGES[0]) * m
    points = torch.tensor([[ahead, aside], [ahead + 0.9 * m, aside], [ahead + 2 * m, aside]])
    found = road.at(torch.zeros(3, dtype=torch.long), points, torch.zeros(3)) & CLASS
    assert found.tolist() == [SemanticClass.SOLID_LINE, SemanticClass.SOLID_LINE, UNKNOWN]
