"""What the state means: graded reward terms, events, progress along the route, and road users that come into view."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import BevSpec
from learned_sim_env.task import EVENTS, UNCERTAIN_TERMS
from learned_sim_env.world_model.detector import SIZE_SCALE
from learned_sim_env.world_model.layers import MLP, Norm, two_hot

# Cells of the view's grid in which an agent can appear, per side; agents appear at most once a step.
BIRTH_GRID = 8


class OutcomeHeads(nn.Module):
    """Graded reward terms by symlog two-hot bins (DreamerV3) and events as Bernoulli logits."""

    def __init__(self, features: int, hidden: int, bins: int = 21):
        super().__init__()
        # Terms are bounded by 1; symmetric bins spaced in symlog are finest near 0, where most values lie.
        bound = torch.log1p(torch.tensor(20.0))
        edges = torch.linspace(-1, 1, bins) * bound
        self.bins: Tensor
        self.register_buffer("bins", edges.sign() * torch.expm1(edges.abs()) / 20.0, persistent=False)
        self.bin_count = bins
        self.net = MLP(features, (hidden,), len(UNCERTAIN_TERMS) * bins + len(EVENTS))
        # Events are rare: start from there.
        nn.init.constant_(self.net.output.bias[-len(EVENTS) :], -4.0)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, features) to term logits (B, 3, bins) and event logits (B, 4), float32."""
        terms, events = self.net(features).float().split([len(UNCERTAIN_TERMS) * self.bin_count, len(EVENTS)], -1)
        return terms.unflatten(-1, (len(UNCERTAIN_TERMS), -1)), events

    def expected_terms(self, logits: Tensor) -> Tensor:
        """(B, 3) float32, the means of the binned distributions."""
        return logits.softmax(-1) @ self.bins

    def loss(self, features: Tensor, terms: Tensor, events: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropies (B,) of terms (B, 3) and of events (B, 4) bool."""
        term_logits, event_logits = self(features)
        term_loss = -(two_hot(terms, self.bins) * term_logits.log_softmax(-1)).sum((-1, -2))
        event_loss = F.binary_cross_entropy_with_logits(event_logits, events.float(), reduction="none").sum(-1)
        return term_loss, event_loss


class Foresight(nn.Module):
    """What the latent says of a step: how the route goes on, and where a road user comes into view, if one does.

    One hidden layer serves all of it.
    """

    def __init__(self, bev: BevSpec, latent: int, hidden: int):
        super().__init__()
        self.bev = bev
        self.cell = bev.height * bev.metres_per_pixel / BIRTH_GRID  # [m]
        self.hidden = nn.Sequential(nn.Linear(latent + 3, hidden, bias=False), Norm(hidden), nn.SiLU())
        self.turn = nn.Linear(hidden, 2)
        self.where = nn.Linear(hidden, BIRTH_GRID**2 + 1)
        self.embed = nn.Embedding(BIRTH_GRID**2, hidden)
        # Place in the cell (2), cos and sin of the heading, speed / 10, log size relative to a common car (2).
        self.how = nn.Linear(hidden, 7)
        self.change: Tensor
        self.register_buffer("change", torch.tensor([0.2, 0.05]), persistent=False)
        self.common_size: Tensor
        self.register_buffer("common_size", torch.tensor(SIZE_SCALE), persistent=False)
        nn.init.zeros_(self.turn.weight)
        nn.init.zeros_(self.turn.bias)

    def forward(self, h: Tensor, z: Tensor, route: Tensor) -> Tensor:
        """Hidden features (B, hidden) that the others take, from the latent after a step and the route before it.

        route: (B, 3), see `rssm.DrivingRSSM.ego_inputs`.
        """
        return self.hidden(torch.cat([h, z, route], -1).to(self.turn.weight.dtype))

    def route(self, hidden: Tensor, route: Tensor, motion: Tensor) -> Tensor:
        """Offset [m] and heading error [rad] (B, 2) after `motion` (B, 3), from those before.

        Exact for a straight route, plus what is learned.
        """
        distance, error = route.unbind(-1)
        side = motion[:, 0] * torch.sin(error) + motion[:, 1] * torch.cos(error)
        straight = torch.stack([distance + side, error + motion[:, 2]], -1)
        return straight + self.turn(hidden).float() * self.change

    def births(self, hidden: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Who comes into view: at most one a step, where the distribution is inverted at `uniform` (B,).

        Returns the n rows (n,) int64 in which somebody does, and the pose (n, 3) in the ego frame, motion and size
        (n, 2) it has, see `agents`.
        """
        likely = self.where(hidden).float().softmax(-1).cumsum(-1)
        choice = (likely < uniform[:, None]).sum(-1)
        rows = (choice < BIRTH_GRID**2).nonzero()[:, 0]
        cell = choice[rows]
        # Of all rows alike, so that a row's numbers do not depend on how many others there are.
        found = self.attributes(hidden, choice.clamp_max(BIRTH_GRID**2 - 1))[rows]
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

    def attributes(self, hidden: Tensor, cell: Tensor) -> Tensor:
        """(B, 7) float32 for an agent that appears in `cell` (B,)."""
        return self.how(F.silu(hidden + self.embed(cell).to(hidden.dtype))).float()
