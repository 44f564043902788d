"""Road users that come into view: at most one a step, somewhere in a grid over the view."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import BevSpec, SemanticClass
from learned_sim_env.world_model.agents import UNKNOWN_ACCELERATION
from learned_sim_env.world_model.detector import SIZE_SCALE
from learned_sim_env.world_model.geometry import place, square_middles
from learned_sim_env.world_model.layers import drawn
from learned_sim_env.world_model.map_memory import UNKNOWN

# Cells of the view's grid in which an agent can appear, per side.
BIRTH_GRID = 8
# Place in the cell (2), cos and sin of the heading, speed / 10, log size relative to a common car (2).
ATTRIBUTES = 7
# [m] Where the map was not seen, there is road so near to a station of the route.
ROADWAY = 7.0


class Born(NamedTuple):
    """Who comes into view in B rows: whether anybody does (B,) bool, its pose (B, 3) in the ego frame, its motion
    (B, 3) and size (B, 2), see `agents`.
    """

    come: Tensor
    pose: Tensor
    motion: Tensor
    size: Tensor


class Births(nn.Module):
    """Where a road user comes into view, if one does, and how it is, from what `Latent.foresee` gives."""

    def __init__(self, bev: BevSpec, hidden: int):
        super().__init__()
        self.bev = bev
        self.cell = bev.height * bev.metres_per_pixel / BIRTH_GRID  # [m]
        self.ahead = nn.Linear(hidden, BIRTH_GRID**2 + 1 + ATTRIBUTES)
        # What is common in a cell.
        self.common = nn.Embedding(BIRTH_GRID**2, ATTRIBUTES)
        # Middles of the cells, row by row from the front left: (cells, 2) in the ego frame [m].
        self.middles: Tensor
        self.register_buffer("middles", square_middles(bev, bev.height // BIRTH_GRID), persistent=False)
        # How much likelier somebody comes than was learned (a difference of logits): belongs to a finished model, see
        # `training.export.let_all_come`.
        self.likelier: Tensor
        self.register_buffer("likelier", torch.zeros(()))
        self.common_size: Tensor
        self.register_buffer("common_size", torch.tensor(SIZE_SCALE), persistent=False)

    def forward(self, foreseen: Tensor, uniform: Tensor) -> Born:
        """Who comes into view, from what is foreseen (B, hidden): the distribution is inverted at `uniform` (B,)."""
        logits, attributes = self.guesses(foreseen)
        choice = drawn(logits.softmax(-1), uniform)
        cell = choice.clamp_max(BIRTH_GRID**2 - 1)
        found = attributes + self.common(cell)
        where = self.middles[cell] + found[:, :2].clamp(-0.5, 0.5) * self.cell
        pose = torch.cat([where, torch.atan2(found[:, 3:4], found[:, 2:3])], -1)
        speed = (found[:, 4:5] * 10).clamp_min(0)
        size = found[:, 5:7].clamp(-1, 1.2).exp() * self.common_size
        motion = F.pad(F.pad(speed, (0, 1)), (0, 1), value=UNKNOWN_ACCELERATION)
        return Born(choice < BIRTH_GRID**2, pose, motion, size)

    def cell_at(self, place: Tensor) -> Tensor:
        """The cell (...) int64, as in `middles`, that an ego-frame `place` (..., 2) [m] lies in, or the nearest."""
        row, column = ((x + 0.5).div(self.bev.height // BIRTH_GRID).long() for x in self.bev.pixels(place))
        return row.clamp(0, BIRTH_GRID - 1) * BIRTH_GRID + column.clamp(0, BIRTH_GRID - 1)

    def guesses(self, foreseen: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, cells + 1) of where an agent appears, the last one of nowhere; and how it differs (B, ATTRIBUTES)
        from what is `common` there, both float32.
        """
        cells, nowhere, attributes = self.ahead(foreseen).float().split([BIRTH_GRID**2, 1, ATTRIBUTES], -1)
        return torch.cat([cells + self.likelier, nowhere], -1), attributes


def on_the_road(born: Born, ids: Tensor, route: Tensor, where: Tensor, heading: Tensor) -> Born:
    """Only those who are on a road; where it was not seen, the route is all that is known of it: near it there is road,
    and one drives along it either way.

    Args:
        born: who comes.
        ids: (B,) uint8, what was seen of the map where they are.
        route: (B, STATIONS + 1, 3), see `route_path`.
        where, heading: (B, 2) and (B,), of those who come in the route's frame, and of the ego.
    """
    far, which = (place(route) - place(where)[:, None]).abs().min(-1)
    along = route[..., 2].gather(1, which[:, None])[:, 0] - heading
    unseen = ids == UNKNOWN
    # Along the route or against it, whichever is nearer.
    along = along + torch.round((born.pose[:, 2] - along) / torch.pi) * torch.pi
    pose = torch.cat([born.pose[:, :2], torch.where(unseen, along, born.pose[:, 2])[:, None]], -1)
    road = (ids >= int(SemanticClass.ROAD)) & (ids <= int(SemanticClass.SOLID_LINE))
    return born._replace(come=born.come & torch.where(unseen, far < ROADWAY, road), pose=pose)
