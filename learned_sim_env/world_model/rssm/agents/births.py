"""Road users that come into view: at most one a step, somewhere in a grid over the view."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import BevSpec, SemanticClass
from learned_sim_env.world_model.geometry import place, product, square_middles, turn, wrap
from learned_sim_env.world_model.layers import Linear, drawn, drawn_first
from learned_sim_env.world_model.rssm.agents.boxes import UNKNOWN_ACCELERATION
from learned_sim_env.world_model.rssm.agents.detector import SIZE_SCALE
from learned_sim_env.world_model.rssm.map.memory import UNKNOWN
from learned_sim_env.world_model.rssm.route.path import ROADWAY

# Cells of the view's grid in which an agent can appear, per side.
BIRTH_GRID = 8
# Of what kind it is, drawn as well, for halfway between two kinds is none: which way it goes, ahead, to the left,
# towards the ego, to the right; and how fast [m/s].
DIRECTIONS, SPEEDS = 4, (0.0, 1.4, 3.0, 4.5, 5.7, 7.2, 8.3)
KINDS = DIRECTIONS * len(SPEEDS)
# Place in the cell (2), how far it is turned from that direction [rad], log size relative to a common car (2).
ATTRIBUTES = 5
QUARTER = math.pi / 2  # [rad]
# [m] Distance from the route within which it is the ego's own lane.
OWN_LANE = 2.5


class Born(NamedTuple):
    """New road users in B rows: whether one comes into view (B,) bool, its pose (B, 3) in the ego frame, its motion
    (B, 3) and size (B, 2), see `agents.boxes`.
    """

    come: Tensor
    pose: Tensor
    motion: Tensor
    size: Tensor


class Births(nn.Module):
    """Whether and where a road user comes into view, its motion and its size, from what `Latent.foresee` gives."""

    def __init__(self, bev: BevSpec, hidden: int):
        super().__init__()
        self.bev = bev
        self.cell = bev.height * bev.metres_per_pixel / BIRTH_GRID  # [m]
        self.ahead = Linear(hidden, BIRTH_GRID**2 + 1 + KINDS + ATTRIBUTES)
        # What is common in a cell, and of those that go one way there.
        self.common_kinds = nn.Embedding(BIRTH_GRID**2, KINDS)
        self.common = nn.Embedding(BIRTH_GRID**2 * DIRECTIONS, ATTRIBUTES)
        for embedding in (self.common_kinds, self.common):
            nn.init.zeros_(embedding.weight)
        # Middles of the cells, row by row from the front left: (cells, 2) in the ego frame [m].
        self.middles: Tensor
        self.register_buffer("middles", square_middles(bev, bev.height // BIRTH_GRID), persistent=False)
        # How much likelier births are than was learned (a difference of logits): belongs to a finished model, see
        # `training.rssm.birth_rate`.
        self.likelier: Tensor
        self.register_buffer("likelier", torch.zeros(()))
        self.speeds: Tensor
        self.register_buffer("speeds", torch.tensor(SPEEDS), persistent=False)
        self.common_size: Tensor
        self.register_buffer("common_size", torch.tensor(SIZE_SCALE), persistent=False)

    def forward(self, foreseen: Tensor, uniform: Tensor) -> Born:
        """Births, from what is foreseen (B, hidden): their distribution is inverted at `uniform` (B,)."""
        logits, kinds, attributes = self.guesses(foreseen)
        choice, uniform = drawn_first(logits.softmax(-1), uniform)
        cell = choice.clamp_max(BIRTH_GRID**2 - 1)
        kind = drawn((kinds + self.common_kinds(cell)).softmax(-1), uniform)
        direction = kind // len(SPEEDS)
        found = attributes + self.common(cell * DIRECTIONS + direction)
        where = self.middles[cell] + found[:, :2].clamp(-0.5, 0.5) * self.cell
        heading = wrap(found[:, 2].clamp(-QUARTER / 2, QUARTER / 2) + direction * QUARTER)
        speed = self.speeds[kind % len(SPEEDS)]
        size = found[:, 3:].clamp(-1, 1.2).exp() * self.common_size
        motion = F.pad(F.pad(speed[:, None], (0, 1)), (0, 1), value=UNKNOWN_ACCELERATION)
        return Born(choice < BIRTH_GRID**2, torch.cat([where, heading[:, None]], -1), motion, size)

    def cell_at(self, place: Tensor) -> Tensor:
        """The cell (...) int64, as in `middles`, that an ego-frame `place` (..., 2) [m] lies in, or the nearest."""
        row, column = ((x + 0.5).div(self.bev.height // BIRTH_GRID).long() for x in self.bev.pixels(place))
        return row.clamp(0, BIRTH_GRID - 1) * BIRTH_GRID + column.clamp(0, BIRTH_GRID - 1)

    def kind_of(self, heading: Tensor, speed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For a heading (...) [rad] in the ego frame and a speed (...) [m/s]: the kind (...) int64, its direction, and
        the heading relative to that direction (...) [rad].
        """
        quarters = torch.round(heading / QUARTER)
        direction = quarters.long() % DIRECTIONS
        nearest = (speed[..., None] - self.speeds).abs().argmin(-1)
        return direction * len(SPEEDS) + nearest, direction, heading - quarters * QUARTER

    def guesses(self, foreseen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (B, cells + 1) of where an agent appears, the last one of nowhere; and how it differs from what is
        common there, in the logits of its kind (B, KINDS) and in what it is like (B, ATTRIBUTES); all float32.
        """
        said = self.ahead(foreseen).float()
        cells, nowhere, kinds, attributes = said.split([BIRTH_GRID**2, 1, KINDS, ATTRIBUTES], -1)
        return torch.cat([cells + self.likelier, nowhere], -1), kinds, attributes


def on_the_road(born: Born, ids: Tensor, route: Tensor, where: Tensor, heading: Tensor) -> Born:
    """The births that are on a road. Where the map was not seen, road is assumed near the route, and vehicles drive
    along the route in either direction.

    Args:
        born: the candidates.
        ids: (B,) uint8, the observed map at their positions.
        route: (B, STATIONS + 1, 3), see `route.path`.
        where: (B, 2) [m], positions of the candidates in the route's frame.
        heading: (B,) [rad], of the ego in the route's frame.
    """
    away = place(where)[:, None] - place(route)
    far, which = away.abs().min(-1)
    along = route[..., 2].gather(1, which[:, None])[:, 0]
    across = product(away.gather(1, which[:, None])[:, 0], turn(-along)).imag.abs()
    along, unseen = along - heading, ids == UNKNOWN
    # Along the route or against it, whichever is nearer.
    halves = torch.round((born.pose[:, 2] - along) / torch.pi)
    pose = torch.where(unseen, along + halves * torch.pi, born.pose[:, 2])
    road = (ids >= int(SemanticClass.ROAD)) & (ids <= int(SemanticClass.SOLID_LINE))
    # No vehicle drives against the ego in the ego's lane.
    against = (halves % 2 == 1) & (far < ROADWAY) & (across < OWN_LANE)
    come = born.come & torch.where(unseen, far < ROADWAY, road) & ~against
    return born._replace(come=come, pose=torch.cat([born.pose[:, :2], pose[:, None]], -1))
