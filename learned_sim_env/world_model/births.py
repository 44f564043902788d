"""Road users that come into view: at most one a step, somewhere in a grid over the view."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import BevSpec
from learned_sim_env.world_model.detector import SIZE_SCALE

# Cells of the view's grid in which an agent can appear, per side.
BIRTH_GRID = 8
# Rows for which an agent's attributes are worked out at a time, always as many, so that a row's do not depend on how
# many others there are.
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
        self.common_size: Tensor
        self.register_buffer("common_size", torch.tensor(SIZE_SCALE), persistent=False)

    def forward(self, foreseen: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Who comes into view, from what is foreseen (B, hidden): the distribution is inverted at `uniform` (B,).

        Returns the n rows (n,) int64 in which somebody does, and the pose (n, 3) in the ego frame, motion and size
        (n, 2) it has, see `agents`.
        """
        likely = self.where(foreseen).float().softmax(-1).cumsum(-1)
        choice = (likely < uniform[:, None]).sum(-1)
        rows = (choice < BIRTH_GRID**2).nonzero()[:, 0]
        cell = choice[rows]
        found = self._attributes(foreseen[rows], cell)
        place = self.place(cell) + found[:, :2].clamp(-0.5, 0.5) * self.cell
        pose = torch.cat([place, torch.atan2(found[:, 3:4], found[:, 2:3])], -1)
        speed = (found[:, 4:5] * 10).clamp_min(0)
        size = found[:, 5:7].clamp(-1, 1.2).exp() * self.common_size
        return rows, pose, torch.cat([speed, torch.zeros_like(speed)], -1), size

    def place(self, cell: Tensor) -> Tensor:
        """Ego-frame middle (..., 2) [m] of cells (...) int64 counted row by row from the front left."""
        row, column = cell // BIRTH_GRID, cell % BIRTH_GRID
        pixels = self.bev.height // BIRTH_GRID
        r = row * pixels + (pixels - 1) / 2
        c = column * pixels + (pixels - 1) / 2
        m = self.bev.metres_per_pixel
        return torch.stack([(self.bev.ego_row - r) * m, (self.bev.ego_column - c) * m], -1)

    def cell_at(self, place: Tensor) -> Tensor:
        """The cell (...) int64 that an ego-frame `place` (..., 2) [m] lies in, or the nearest one."""
        row, column = ((x + 0.5).div(self.bev.height // BIRTH_GRID).long() for x in self.bev.pixels(place))
        return row.clamp(0, BIRTH_GRID - 1) * BIRTH_GRID + column.clamp(0, BIRTH_GRID - 1)

    def attributes(self, foreseen: Tensor, cell: Tensor) -> Tensor:
        """(B, 7) float32 for an agent that appears in `cell` (B,)."""
        return self.how(F.silu(foreseen + self.embed(cell).to(foreseen.dtype))).float()

    def _attributes(self, foreseen: Tensor, cell: Tensor) -> Tensor:
        missing = -len(cell) % CHUNK
        parts = zip(F.pad(foreseen, (0, 0, 0, missing)).split(CHUNK), F.pad(cell, (0, missing)).split(CHUNK))
        return torch.cat([self.attributes(*part) for part in parts] or [foreseen.new_zeros(0, 7).float()])[: len(cell)]
