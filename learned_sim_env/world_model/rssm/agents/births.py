"""Road users that come into view: at most one a step, somewhere in a grid over the view."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from learned_sim_env.spec import BevSpec, SemanticClass
from learned_sim_env.world_model.geometry import place, product, square_middles, turn, wrap
from learned_sim_env.world_model.layers import Linear, drawn, drawn_several
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
# [m] So far ahead of one of several places there has to be road as well, or none was seen: one comes along a road.
ROAD_AHEAD = 8.0
# Multiples of a number between 0 and 1 by these, modulo 1, are as good as other numbers.
PRIMES = (127.0, 541.0, 1009.0)
# [half turns] A heading that differs more from the route's is not along it.
ALONG = 0.25


class Born(NamedTuple):
    """Those of a batch in which a road user may come into view, few: their numbers `rows` (N,) int64, whether one comes
    `come` (N,) bool, its pose (N, 3) in the ego frame, its motion (N, 3) and size (N, 2), see `agents.boxes`. As
    candidates, poses, motions and sizes at several places each, (N, tries, ...), see `on_the_road`.
    """

    rows: Tensor
    come: Tensor
    pose: Tensor
    motion: Tensor
    size: Tensor


class Births(nn.Module):
    """Whether and where a road user comes into view, its motion and its size, from what `Latent.foresee` gives.

    tries: places that are drawn for it, up to four: the first that is on a road is taken, for where roads go is not
        foreseen.
    """

    def __init__(self, bev: BevSpec, hidden: int, tries: int = 1):
        super().__init__()
        self.bev, self.tries = bev, tries
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
        # What is known of the motion of one of a kind, see `agents.boxes`.
        self.motions: Tensor
        motions = [(speed, 0.0, UNKNOWN_ACCELERATION) for _ in range(DIRECTIONS) for speed in SPEEDS]
        self.register_buffer("motions", torch.tensor(motions), persistent=False)
        self.primes: Tensor
        self.register_buffer("primes", torch.tensor(PRIMES[: tries - 1]), persistent=False)
        self.common_size: Tensor
        self.register_buffer("common_size", torch.tensor(SIZE_SCALE), persistent=False)

    def forward(self, foreseen: Tensor, uniform: Tensor) -> Born:
        """Candidates, from what is foreseen (B, hidden): their distribution is inverted at `uniform` (B,), and at
        numbers that follow from it.
        """
        logits, kinds, attributes = self.guesses(foreseen)
        likely = logits.softmax(-1)
        # In most rows nobody comes.
        rows = (drawn(likely, uniform) < BIRTH_GRID**2).nonzero()[:, 0]
        likely, uniform, kinds, attributes = (x.index_select(0, rows) for x in (likely, uniform, kinds, attributes))
        cell, uniforms = drawn_several(likely, self._apart(likely, uniform))
        # The last one is nowhere: rounding may lead there.
        cell = cell.clamp_max(BIRTH_GRID**2 - 1)
        kind, _ = drawn_several((kinds[:, None] + self.common_kinds(cell)).softmax(-1), uniforms[..., None])
        kind = kind[..., 0]
        direction = kind // len(SPEEDS)
        found = attributes[:, None] + self.common(cell * DIRECTIONS + direction)
        where = self.middles[cell] + found[..., :2].clamp(-0.5, 0.5) * self.cell
        heading = wrap(found[..., 2:3].clamp(-QUARTER / 2, QUARTER / 2) + direction[..., None] * QUARTER)
        size = found[..., 3:].clamp(-1, 1.2).exp() * self.common_size
        return Born(
            rows, torch.ones_like(rows, dtype=torch.bool), torch.cat([where, heading], -1), self.motions[kind], size
        )

    def _apart(self, likely: Tensor, uniform: Tensor) -> Tensor:
        """Uniforms (N, tries) that all are below the probability that one comes if `uniform` (N,), the first, is."""
        comes = (1 - likely[:, -1:]).clamp_min(1e-6)
        again = (uniform[:, None] / comes * self.primes).remainder(1) * comes
        return torch.cat([uniform[:, None], again], 1)

    def looked_at(self, born: Born) -> Tensor:
        """Ego-frame places (N, tries, places, 2) [m] that `on_the_road` wants the map's class ids of."""
        where = born.pose[..., None, :2]
        if self.tries == 1:
            return where
        ahead = torch.view_as_real(ROAD_AHEAD * turn(born.pose[..., 2]))
        return torch.cat([where, where + ahead[..., None, :]], -2)

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


def on_the_road(
    born: Born, ids: Tensor, route: Tensor, where: Tensor, heading: Tensor, laid: Tensor | None = None
) -> Born:
    """Those of the candidates that are on a road: of each row the first place that is. Where the map was not seen, road
    is assumed near the route, and where pieces of road are laid; vehicles drive along the route there in either
    direction, and on other roads as they were drawn.

    Args:
        born: candidates in N rows; all that follows is of these rows.
        ids: (N, tries, places) uint8, the observed map at `Births.looked_at`.
        route: (N, STATIONS + 1, 3), see `route.path`.
        where: (N, tries, 2) [m], positions of the candidates in the route's frame.
        heading: (N,) [rad], of the ego in the route's frame.
        laid: (N, tries, places) bool, where pieces of road that were imagined have road.
    """
    away = place(where)[..., None] - place(route)[:, None]
    far, which = away.abs().min(-1)
    along = route[:, None, :, 2].expand(-1, which.shape[1], -1).gather(-1, which[..., None])[..., 0]
    across = product(away.gather(-1, which[..., None])[..., 0], turn(-along)).imag.abs()
    along, unseen, near = along - heading[:, None], ids[..., 0] == UNKNOWN, far < ROADWAY
    # Along the route or against it, whichever is nearer.
    turned = (born.pose[..., 2] - along) / torch.pi
    halves = torch.round(turned)
    beside = torch.zeros_like(near) if laid is None else laid.all(-1) & ~near
    guided = unseen & ~(beside & ((turned - halves).abs() > ALONG))
    pose = torch.where(guided, along + halves * torch.pi, born.pose[..., 2])
    road = (ids >= int(SemanticClass.ROAD)) & (ids <= int(SemanticClass.SOLID_LINE))
    seen = road[..., 0] & (road | (ids == UNKNOWN)).all(-1)
    # No vehicle drives against the ego in the ego's lane.
    against = (halves % 2 == 1) & near & (across < OWN_LANE)
    come = born.come[:, None] & torch.where(unseen, near | beside, seen) & ~against
    # Of several, the first.
    come, first = come.max(1)
    pose = torch.cat([born.pose[..., :2], pose[..., None]], -1)
    pose, motion, size = (
        x.gather(1, first[:, None, None].expand(-1, 1, x.shape[-1]))[:, 0] for x in (pose, born.motion, born.size)
    )
    return Born(born.rows, come, pose, motion, size)
