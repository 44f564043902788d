"""What the state means: graded reward terms, events, progress along the route, and road users that come into view."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import BevSpec
from learned_sim_env.task import EVENTS, GRADED_TERMS
from learned_sim_env.world_model.layers import MLP, two_hot

# Cells of the view's grid in which an agent can appear, per side; agents appear at most once a step.
BIRTH_GRID = 16


class OutcomeHeads(nn.Module):
    """Graded reward terms by symlog two-hot bins (DreamerV3) and events as Bernoulli logits."""

    def __init__(self, features: int, hidden: int, bins: int = 41):
        super().__init__()
        # Terms are bounded by 1; symmetric bins spaced in symlog are finest near 0, where most values lie.
        bound = torch.log1p(torch.tensor(20.0))
        edges = torch.linspace(-1, 1, bins) * bound
        self.bins: Tensor
        self.register_buffer("bins", edges.sign() * torch.expm1(edges.abs()) / 20.0, persistent=False)
        self.bin_count = bins
        self.net = MLP(features, (hidden,), len(GRADED_TERMS) * bins + len(EVENTS))
        # Events are rare: start from there.
        nn.init.constant_(self.net.output.bias[-len(EVENTS) :], -4.0)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, features) to term logits (B, 4, bins) and event logits (B, 4), float32."""
        terms, events = self.net(features).float().split([len(GRADED_TERMS) * self.bin_count, len(EVENTS)], -1)
        return terms.unflatten(-1, (len(GRADED_TERMS), -1)), events

    def expected_terms(self, logits: Tensor) -> Tensor:
        """(B, 4) float32, the means of the binned distributions."""
        return logits.softmax(-1) @ self.bins.float()

    def loss(self, features: Tensor, terms: Tensor, events: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropies (B,) of graded terms (B, 4) and of events (B, 4) bool."""
        term_logits, event_logits = self(features)
        term_loss = -(two_hot(terms, self.bins) * term_logits.log_softmax(-1)).sum((-1, -2))
        event_loss = F.binary_cross_entropy_with_logits(event_logits, events.float(), reduction="none").sum(-1)
        return term_loss, event_loss


class RouteHead(nn.Module):
    """How offset and heading error to the route change in a step: exact for a straight route, plus what is learned."""

    def __init__(self, features: int, hidden: int):
        super().__init__()
        self.net = MLP(features, (hidden // 2,), 2)
        self.change: Tensor
        self.register_buffer("change", torch.tensor([0.2, 0.05]), persistent=False)
        nn.init.zeros_(self.net.output.weight)
        nn.init.zeros_(self.net.output.bias)

    def forward(self, latent: Tensor, route: Tensor, motion: Tensor) -> Tensor:
        """Offset [m] and heading error [rad] (B, 2) after `motion` (B, 3), from those before and the new latent."""
        learned = self.net(torch.cat([latent, route_features(route)], -1)).float() * self.change
        distance, error = route.unbind(-1)
        side = motion[:, 0] * torch.sin(error) + motion[:, 1] * torch.cos(error)
        straight = torch.stack([distance + side, error + motion[:, 2]], -1)
        return straight + learned


def route_features(route: Tensor) -> Tensor:
    """Offset and heading error (B, 2) as network inputs (B, 3): angles by sine and cosine."""
    return torch.stack([route[..., 0] / 5, torch.sin(route[..., 1]), torch.cos(route[..., 1])], -1)


class BirthHead(nn.Module):
    """Where an agent comes into view in a step, if one does, and how it is."""

    def __init__(self, bev: BevSpec, latent: int, hidden: int):
        super().__init__()
        self.bev = bev
        self.cell = bev.height * bev.metres_per_pixel / BIRTH_GRID  # [m]
        self.where = MLP(latent, (hidden // 2,), BIRTH_GRID**2 + 1)
        self.embed = nn.Embedding(BIRTH_GRID**2, 32)
        # Place in the cell (2), cos and sin of the heading, speed / 10, log size relative to a common car (2).
        self.how = MLP(latent + 32, (hidden // 2,), 7)

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

    def attributes(self, latent: Tensor, cell: Tensor) -> Tensor:
        """(B, 7) float32 for an agent that appears in `cell` (B,)."""
        return self.how(torch.cat([latent, self.embed(cell).to(latent.dtype)], -1)).float()
