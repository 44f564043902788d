"""Pieces that go on from what is seen are recognised by it."""

from __future__ import annotations

import numpy as np
import torch

from learned_sim_env.rendering.bev import BevRenderer
from learned_sim_env.road import road_index
from learned_sim_env.scene import Agents, Scene
from learned_sim_env.spec import CONTRACTS
from learned_sim_env.world_model.rssm.roads.grounding import options
from learned_sim_env.world_model.rssm.route.landmarks import FAR
from learned_sim_env.world_model.rssm.route.path import chain
from tests.scenes import ego
from tests.winding_roads import winding_road

BEV = CONTRACTS["driving"].bev


def seen(road_map, along):
    """The view and the true route where the ego is at a distance along it."""
    index = road_index(road_map)
    where = int(np.searchsorted(index.route_s, along))
    pose = np.append(road_map.route[where], index.route_tangents[where])
    view = BevRenderer(BEV).semantic(Scene(road_map, ego(*pose), Agents.none()))
    headings = index.route_headings(index.on_route(pose)[0]) - pose[2]
    route = chain(torch.tensor(headings, dtype=torch.float32)[None], torch.zeros(1, 6))
    return torch.from_numpy(view)[None], route


def test_a_bend_is_taken_for_one(library, pieces):
    bends = [(60.0, 0.0), (50.0, 0.02), (90.0, 0.0)]
    view, route = seen(winding_road(*bends), 50.0)
    found = options(library, view, route, torch.full((1, 3), FAR), BEV)
    assert found["road_rim"].item() > 4
    turning = {pieces[i].source for i in found["road_options"][0, :, 0].tolist()}
    # The second map of the library bends to the left.
    assert turning == {1}


def test_nothing_is_wanted_where_the_route_is_seen_to_end(library):
    view, route = seen(winding_road((60.0, 0.0), (50.0, 0.02), (90.0, 0.0)), 50.0)
    assert options(library, view, route, torch.zeros(1, 3), BEV)["road_rim"].item() == -1


def test_options_do_not_depend_on_other_rows(library):
    rows = [seen(winding_road((60.0, 0.0), (50.0, bend), (90.0, 0.0)), 45.0) for bend in (0.02, 0.0, -0.02)]
    view, route = torch.cat([v for v, _ in rows]), torch.cat([r for _, r in rows])
    end = torch.full((3, 3), FAR)
    together = options(library, view, route, end, BEV)
    alone = options(library, view[2:], route[2:], end[2:], BEV)
    for name, values in alone.items():
        assert torch.equal(together[name][2:], values)
