"""Road users that come into view: at most one a step, somewhere in a grid over the view."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import BevSpec
from learned_sim_env.world_model.detector import SIZE_SCALE
from learned_sim_env.world_model.geometry import square_middles
from learned_sim_env.world_model.layers import drawn, only_where

# Cells of the view's grid in which an agent can appear, per side.
BIRTH_GRID = 8
# Rows for which an agent's attributes are worked out at a time: in most of them nobody appears.
CHUNK = 16


class Births(nn.Module):
    """Where a road user comes into view, if one does, and how it is, from what `Latent.foresee` gives."""

    def __init__(self, bev: BevSpec, hidden: int):
        super().__init__()
        self.bev = bev
        self.cell = bev.height * bev.metres_per_pixel / BIRTH_GRID  # [m]
        self.where = nn.Linear(hidden, BIRTH_GRID**2 + 1)
        self.embed = nn.Embedding(BIRTH_GRID**2, hidden)
        # Place in the cell (2), cos and sin of the heading, speed / 10, log size relative to a common car (2).
        self.how = nn.Linear(hidden, 7)
        # Middles of the cells, row by row from the front left: (cells, 2) in the ego frame [m].
        self.middles: Tensor
        self.register_buffer("middles", square_middles(bev, bev.height // BIRTH_GRID), persistent=False)
        self.common_size: Tensor
        self.register_buffer("common_size", torch.tensor(SIZE_SCALE), persistent=False)

    def forward(self, foreseen: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Who comes into view, from what is foreseen (B, hidden): the distribution is inverted at `uniform` (B,).

        Returns the n rows (n,) int64 in which somebody does, and the pose (n, 3) in the ego frame, motion and size
        (n, 2) it has, see `agents`.
        """
        choice = drawn(self.where(foreseen).float().softmax(-1), uniform)
        born = choice < BIRTH_GRID**2
        rows = born.nonzero()[:, 0]
        cell = choice[rows]
        found = only_where(self.attributes, born, foreseen, choice.clamp_max(BIRTH_GRID**2 - 1), chunk=CHUNK)[rows]
        place = self.middles[cell] + found[:, :2].clamp(-0.5, 0.5) * self.cell
        pose = torch.cat([place, torch.atan2(found[:, 3:4], found[:, 2:3])], -1)
        speed = (found[:, 4:5] * 10).clamp_min(0)
        size = found[:, 5:7].clamp(-1, 1.2).exp() * self.common_size
        return rows, pose, torch.cat([speed, torch.zeros_like(speed)], -1), size

    def cell_at(self, place: Tensor) -> Tensor:
        """The cell (...) int64, as in `middles`, that an ego-frame `place` (..., 2) [m] lies in, or the nearest."""
        row, column = ((x + 0.5).div(self.bev.height // BIRTH_GRID).long() for x in self.bev.pixels(place))
        return row.clamp(0, BIRTH_GRID - 1) * BIRTH_GRID + column.clamp(0, BIRTH_GRID - 1)

    def attributes(self, foreseen: Tensor, cell: Tensor) -> Tensor:
        """(B, 7) float32 for an agent that appears in `cell` (B,)."""
        return self.how(F.silu(foreseen + self.embed(cell).to(foreseen.dtype))).float()
