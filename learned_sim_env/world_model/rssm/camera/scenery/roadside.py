"""What places beside the road are like: how far the road is and where, and what stands near."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.spec import BevSpec, SemanticClass
from learned_sim_env.world_model.geometry import turn
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.camera.scenery.lattice import CELLS, Squares
from learned_sim_env.world_model.rssm.line_pieces import CLASS
from learned_sim_env.world_model.rssm.map.memory import UNKNOWN
from learned_sim_env.world_model.rssm.route.path import ROADWAY

# Kinds of scenery, `NONE` not counted, which state `scenery_kind` holds from 1 on.
KINDS = 7
# The map is looked at around a place on three grids: steps [cells] and how many of them to each side.
GRIDS = ((1, 4), (3, 4), (6, 7))
# [m] Between these, features interpolate: distances to the road, to the route that has no map yet, to other things.
ROAD_NODES = (0.0, 0.75, 1.5, 2.25, 3.0, 4.5, 6.0, 8.0, 11.0, 14.0, 18.0, 24.0, 32.0)
ROUTE_NODES = (0.0, 4.0, 8.0, 12.0, 18.0, 26.0)
NEAR_NODES = (0.0, 3.0, 6.0, 9.0, 13.0, 19.0, 27.0, 38.0, 55.0)
_ROAD, _ROUTE, _NEAR = (torch.tensor(nodes) for nodes in (ROAD_NODES, ROUTE_NODES, NEAR_NODES))
# Points of the route that are added straight on, as far as squares are decided.
BEYOND = 7
# Cosine of how far the direction to the road may be from the route's own side for that to be meant.
SQUARE = 0.7
# [m] What is farther counts as this.
NOWHERE = 60.0
FEATURES = len(ROAD_NODES) + len(ROUTE_NODES) + len(GRIDS) + (len(NEAR_NODES) - 1) * KINDS + 6


class Roadside(NamedTuple):
    """Of N squares: features (N, FEATURES) float32 for a network, and unit vectors to the road (N, 2), anchored."""

    features: Tensor
    towards: Tensor


class RoadsideView:
    """Looks at remembered maps of `size` x `size` cells, see `map.memory`, around the middles of squares."""

    def __init__(self, bev: BevSpec, size: int):
        self.metres, self.size = bev.metres_per_pixel, size
        far, weighted = [], []
        inner = -1
        for step, count in GRIDS:
            line = torch.arange(-count, count + 1) * step
            grid = torch.cartesian_prod(line, line)
            # What a finer grid has looked at counts there.
            new = (grid.abs().amax(-1, keepdim=True) > inner).float()
            inner = step * count
            away = (grid * self.metres).norm(dim=-1)
            # [m] To the near edge of a cell, as far as it is known.
            far.append((away - self.metres / 2).clamp_min(0))
            weighted.append(new * grid * self.metres / away[:, None].clamp_min(1e-3) * step**2)
        self._far, self._weighted = torch.cat(far), torch.cat(weighted).T.contiguous()

    def __call__(self, state: State, things: State, squares: Squares) -> Roadside:
        """Look around the squares that are due.

        Args:
            state: "map" and "map_origin"; "pose" of the ego; "route", along which road is assumed where its map is not
                known yet.
            things: what is known to stand around.
        """
        row, number, middle, stage = squares.row, squares.number, squares.middle, squares.stage
        device = row.device
        parts = self._ids(state, row, number * CELLS + CELLS // 2)
        unknown = [(part == UNKNOWN).float().mean(-1) for part in parts]
        ids = torch.cat(parts, -1)
        far = torch.where(is_road(ids), self._far.to(device), NOWHERE)
        route = _straight_on(state["route"])
        blank = self._at(state, route[..., :2]) == UNKNOWN
        ahead = route[row, :, :2] - middle[:, None]
        length = _length(ahead)
        off = torch.where(blank[row], (length - ROADWAY).clamp_min(0), NOWHERE)
        to_road, to_route = far.amin(-1), off.amin(-1)
        nearest = torch.minimum(to_road, to_route)
        # Towards all road that is about as near as the nearest.
        reach = nearest[:, None] * 0.2 + 1.5
        weights, more = ((1 - (x - nearest[:, None]) / reach).clamp_min(0) for x in (far, off))
        more = more * (GRIDS[-1][0] ** 2 / length.clamp_min(1e-3))
        # Sums, for a product of matrices with so few columns is rounded as the number of rows has it.
        x, y = ((weights * by).sum(-1) for by in self._weighted.to(device))
        towards = torch.stack([x, y], -1) + torch.stack([(more * along).sum(-1) for along in ahead.unbind(-1)], -1)
        size = _length(towards)[:, None]
        ego = middle - state["pose"][row, :2]
        away = _length(ego).clamp_min(1e-3)
        # Where there is no road at all, towards the ego.
        towards = torch.where(size > 1e-3, towards / size.clamp_min(1e-3), -ego / away[:, None])
        # Where that is about square to the route, the route tells it more exactly.
        chord = turn(route[..., 2])[row].gather(1, length.argmin(-1, keepdim=True))
        square = torch.cat([-chord.imag, chord.real], -1)
        along = (square * towards).sum(-1, keepdim=True)
        towards = torch.where(along.abs() > SQUARE, square * along.sign(), towards)
        facing = (ego * towards).sum(-1) / away
        missing = blank[:, :-BEYOND].float().mean(-1)[row]
        others = [stage.float(), away / 40, facing, nearest / 20, (to_road < NOWHERE).float(), missing]
        features = torch.cat(
            [
                hats(to_road, _ROAD),
                hats(to_route, _ROUTE),
                torch.stack([*unknown, *others], -1),
                self._counts(things, row, middle),
            ],
            -1,
        )
        return Roadside(features, towards)

    def _ids(self, state: State, row: Tensor, middle: Tensor) -> list[Tensor]:
        """Classes (N, points) uint8 on each of the grids around cells (N, 2) int64 of the plane."""
        cells, origin, size = state["map"].flatten(), state["map_origin"][row], self.size
        start, found = (row * size * size).int(), []
        for step, count in GRIDS:
            line = torch.arange(-count, count + 1, device=row.device) * step
            u, v = (middle[:, None] + line[:, None]).int().unbind(-1)
            # The size is a power of two, see `MapMemory`.
            held_u, held_v = ((((x - origin[:, i, None]) & -size) == 0) for i, x in enumerate((u, v)))
            index = (start[:, None] + (u & size - 1) * size)[:, :, None] + (v & size - 1)[:, None]
            ids = cells.index_select(0, index.flatten()).view_as(index).to(torch.uint8) & CLASS
            found.append(ids.masked_fill(~(held_u[:, :, None] & held_v[:, None]), UNKNOWN).flatten(1))
        return found

    def _at(self, state: State, places: Tensor) -> Tensor:
        """Classes (B, N) int16 at anchored places (B, N, 2) [m]."""
        cell = (places / self.metres).round().long()
        away = cell - state["map_origin"][:, None]
        index = (cell & self.size - 1) @ cell.new_tensor([self.size, 1])
        ids = state["map"].flatten(1).gather(1, index) & CLASS
        return torch.where(((away & -self.size) == 0).all(-1), ids, UNKNOWN)

    @staticmethod
    def _counts(things: State, row: Tensor, middle: Tensor) -> Tensor:
        """(N, distances * KINDS): about how many things of each kind stand so far from places (N, 2)."""
        kind = things["scenery_kind"]
        sort = (kind[..., None] == torch.arange(1, KINDS + 1, device=kind.device)).float()
        between = _length(things["scenery_pose"][..., :2][row] - middle[:, None])
        counts = (hats(between, _NEAR)[..., :-1].transpose(1, 2) @ sort[row]).flatten(1)
        return counts / (counts + 2)


def _straight_on(route: Tensor) -> Tensor:
    """A route (B, N, 3) with `BEYOND` more points, as far from each other as its last ones."""
    last = route[:, -1:]
    steps = torch.arange(1, BEYOND + 1, device=route.device)[:, None]
    beyond = last[..., :2] + steps * (last - route[:, -2:-1])[..., :2]
    return torch.cat([route, torch.cat([beyond, last[..., 2:].expand(-1, BEYOND, -1)], -1)], 1)


def is_road(ids: Tensor) -> Tensor:
    """Whether classes (...) of a map are of what is driven on: bool."""
    # Numbers below that of road are the highest of all when it is taken off.
    return ids.to(torch.uint8) - int(SemanticClass.ROAD) <= int(SemanticClass.SOLID_LINE - SemanticClass.ROAD)


def hats(x: Tensor, nodes: Tensor) -> Tensor:
    """(..., N): shares of the two nodes (N,) that values (...) lie between, 1 for the outermost beyond them."""
    nodes = nodes.to(x.device)
    low, high = nodes[:-1], nodes[1:]
    up = ((x[..., None] - low) / (high - low)).clamp(0, 1)
    return F.pad(up, (1, 0), value=1.0) - F.pad(up, (0, 1))


def _length(x: Tensor) -> Tensor:
    return (x[..., 0] * x[..., 0] + x[..., 1] * x[..., 1]).sqrt()
