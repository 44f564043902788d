"""What the state means: graded reward terms, events, and how far the model may be wrong."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.task import EVENTS, UNCERTAIN_TERMS
from learned_sim_env.world_model.layers import MLP, logistic, two_hot
from learned_sim_env.world_model.rssm.route.landmarks import FAR

# What doubt is about: how far the ego is from where it is believed to be, and the share of the view drawn wrong; and
# what is added to them before the logarithm is taken: errors below it are all alike.
DOUBTS = ("place", "view")
DOUBT_FLOOR = (0.05, 0.01)  # [m], share
# [m] Boxes that overlap the ego's by more than this touch it: where they lie is read from pixels of half a metre.
TOUCH = 0.2
# [m] Nothing that is farther away than this is touched within a step, wherever exactly it may be.
OUT_OF_REACH = 3.0
# [m] How far off the end of a route may be, read from the same pixels: scale of a logistic distribution.
END_SPREAD = 0.25


class OutcomeHeads(nn.Module):
    """Graded reward terms by symlog two-hot bins (DreamerV3), events as Bernoulli logits, and doubt.

    Doubt is the expected logarithm of the model's own errors, learned in its own imagination.
    """

    def __init__(self, features: int, hidden: int, bins: int = 21):
        super().__init__()
        # Terms are bounded by 1; symmetric bins spaced in symlog are finest near 0, where most values lie.
        bound = torch.log1p(torch.tensor(20.0))
        edges = torch.linspace(-1, 1, bins) * bound
        self.bins: Tensor
        self.register_buffer("bins", edges.sign() * torch.expm1(edges.abs()) / 20.0, persistent=False)
        self.bin_count = bins
        self.net = MLP(features, (hidden,), len(UNCERTAIN_TERMS) * bins + len(EVENTS) + len(DOUBTS))
        self.floor: Tensor
        self.register_buffer("floor", torch.tensor(DOUBT_FLOOR), persistent=False)
        self.collision: Tensor
        self.register_buffer("collision", torch.tensor([name == "collision" for name in EVENTS]), persistent=False)
        self.arrival: Tensor
        self.register_buffer("arrival", torch.tensor([name == "arrival" for name in EVENTS]), persistent=False)
        # Events and errors are rare: start from there.
        nn.init.constant_(self.net.output.bias[-len(EVENTS) - len(DOUBTS) :], -4.0)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, features) to term logits (B, 3, bins), event logits (B, 4) and doubts (B, 2), float32."""
        widths = [len(UNCERTAIN_TERMS) * self.bin_count, len(EVENTS), len(DOUBTS)]
        terms, events, doubt = self.net(features).float().split(widths, -1)
        return terms.unflatten(-1, (len(UNCERTAIN_TERMS), -1)), events, doubt

    def probabilities(
        self, events: Tensor, nearest: Tensor, left: tuple[Tensor, Tensor], arrival_distance: float
    ) -> Tensor:
        """(B, 4) float32 of the events, from their logits and where the ego is.

        The collision head has learned how often predicted overlaps of boxes are real collisions. But in a dream the ego
        drives among these boxes: it has collided where they overlap, as in a simulator (`task.events`), and never far
        from them. Arrival likewise follows from geometry where the end of the route was seen.

        Args:
            events: (B, 4) logits.
            nearest: (B,) [m] the smallest gap between the ego and anything that it may hit.
            left: two of (B,) [m], see `route.landmarks.route_left`.
            arrival_distance: [m] see `spec.Contract`.
        """
        likely = logistic(events).masked_fill((nearest > OUT_OF_REACH)[:, None] & self.collision, 0.0)
        likely = likely.masked_fill((nearest < -TOUCH)[:, None] & self.collision, 1.0)
        before, aside = left
        arrived = logistic((arrival_distance - torch.maximum(before, aside.abs())) / END_SPREAD)
        return torch.where((before < FAR)[:, None] & self.arrival, arrived[:, None], likely)

    def uncertainty(self, doubt: Tensor) -> Tensor:
        """(B,) float32 in [0, 1]: from doubts (B, 2), the share of the view that is likely to be drawn wrong."""
        return (doubt[:, 1].exp() - self.floor[1]).clamp(0, 1)

    def expected_terms(self, logits: Tensor) -> Tensor:
        """(B, 3) float32, the means of the binned distributions."""
        return (logits.softmax(-1) * self.bins).sum(-1)

    def loss(self, features: Tensor, terms: Tensor, events: Tensor, errors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Cross-entropies (...) of terms (..., 3) and events (..., 4) bool, and the doubts' loss (..., 2).

        errors: (..., 2) those that were made, see `DOUBTS`; NaN where that is not known.
        """
        term_logits, event_logits, doubt = self(features)
        term_loss = -(two_hot(terms, self.bins) * term_logits.log_softmax(-1)).sum((-1, -2))
        event_loss = F.binary_cross_entropy_with_logits(event_logits, events.float(), reduction="none").sum(-1)
        made = (errors + self.floor).log()
        doubt_loss = F.smooth_l1_loss(doubt, torch.where(made.isnan(), doubt.detach(), made), reduction="none")
        return term_loss, event_loss, doubt_loss
