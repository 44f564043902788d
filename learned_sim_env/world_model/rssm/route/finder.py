"""Finds the route in a view by following it, from the ego's known place beside it.

At each station the view ahead is sampled in the station's own frame, which gives the turn to the next one: a station
that is half a metre off the route shows the route to one side, and is corrected. (As RoadTracer, arXiv 1802.03680, does
for maps.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learned_sim_env.road import STATION, STATIONS
from learned_sim_env.spec import NUM_MAP_CLASSES, BevSpec, SemanticClass
from learned_sim_env.world_model.geometry import points_from, sample_bilinear, turn
from learned_sim_env.world_model.layers import MLP
from learned_sim_env.world_model.rssm.line_pieces import is_line
from learned_sim_env.world_model.rssm.route.path import TURN_SCALE, beside_ego

# Where a view is sampled, in the frame of a station [m]: from behind to ahead, to both sides, and the spacing.
BEHIND, AHEAD, ASIDE, APART = -1.0, 10.0, 6.0, 1.0
# [m] Unit of ego-frame places as network inputs.
PLACE_SCALE = 30.0


class RouteFinder(nn.Module):
    """Headings of the route's chords, from a view and where on the route the ego is."""

    def __init__(self, bev: BevSpec, hidden: tuple[int, ...] = (128, 64)):
        super().__init__()
        self.bev = bev
        self.grid: Tensor
        along, across = torch.arange(BEHIND, AHEAD + 0.01, APART), torch.arange(-ASIDE, ASIDE + 0.01, APART)
        self.register_buffer("grid", torch.cartesian_prod(along, across), persistent=False)
        self.net = MLP(5 * len(self.grid) + 6, hidden, 1)
        nn.init.zeros_(self.net.output.weight)
        nn.init.zeros_(self.net.output.bias)

    def forward(self, semantic: Tensor, ego: Tensor) -> Tensor:
        """(B, STATIONS) [rad] float32: headings of the chords ahead, relative to the route's where the ego is.

        semantic: (B, H, W) uint8. ego: (B, 6) vectors, see `spec.EGO_FIELDS`.
        """
        view = kinds(semantic)
        began = heading = -ego[:, 5]
        where = beside_ego(ego)
        before = last = torch.zeros_like(heading)
        headings = []
        for _ in range(STATIONS):
            # The loss of a station reaches its own turn alone.
            heading, where, last, before = heading.detach(), where.detach(), last.detach(), before.detach()
            station = torch.cat([torch.view_as_real(where), heading[:, None]], -1)
            sampled = sample_bilinear(view, points_from(self.grid, station), self.bev).flatten(1)
            facing, near = turn(heading), where / PLACE_SCALE
            facts = torch.stack([last, before, near.real, near.imag, facing.real, facing.imag], -1)
            before, last = last, self.net(torch.cat([sampled, facts], -1))[:, 0].float() * TURN_SCALE
            heading = heading + last
            where = where + STATION * turn(heading)
            headings.append(heading)
        return torch.stack(headings, -1) - began[:, None]


def kinds(semantic: Tensor) -> Tensor:
    """Views (B, H, W) as (B, 5, H, W) float32: no road, route, lines, whatever covers the map, and that there is a view
    at all, since beyond it nothing is known.
    """
    off, route = semantic == int(SemanticClass.OFF_ROAD), semantic == int(SemanticClass.ROUTE)
    return torch.stack([off, route, is_line(semantic), semantic >= NUM_MAP_CLASSES, torch.ones_like(off)], 1).float()
