"""What follows from a moment, read from its agent tokens: reward terms, events, the place beside the route, doubt."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from learned_sim_env.task import EVENTS, UNCERTAIN_TERMS
from learned_sim_env.world_model.layers import MLP, logistic

# [m, rad] Units in which the place beside the route is corrected.
CORRECTION = (0.1, 0.02)
# Added to errors before their logarithm is taken: below it all are alike.
DOUBT_FLOOR = 0.01
BINS = 21


class Outcomes(NamedTuple):
    """Predictions (...) of the moment, and of `ahead` - 1 steps after it, whose actions are not known.

    terms: (..., ahead, 3, BINS) logits. events: (..., ahead, 4) logits. correction: (..., 2), to be added to the
    distance [m] and heading error [rad] of the frame's condition. doubt: (...) log of the tokens' expected error.
    """

    terms: Tensor
    events: Tensor
    correction: Tensor
    doubt: Tensor


class Heads(nn.Module):
    """Graded reward terms by symlog two-hot bins (DreamerV3), events as Bernoulli logits, the rest as numbers."""

    def __init__(self, features: int, hidden: int, ahead: int):
        super().__init__()
        self.ahead = ahead
        # Terms are bounded by 1; symmetric bins spaced in symlog are finest near 0, where most values lie.
        bound = torch.log1p(torch.tensor(20.0))
        edges = torch.linspace(-1, 1, BINS) * bound
        self.bins: Tensor
        self.register_buffer("bins", edges.sign() * torch.expm1(edges.abs()) / 20.0, persistent=False)
        self.units: Tensor
        self.register_buffer("units", torch.tensor(CORRECTION), persistent=False)
        self.widths = [ahead * len(UNCERTAIN_TERMS) * BINS, ahead * len(EVENTS), len(CORRECTION), 1]
        self.net = MLP(features, (hidden,), sum(self.widths))
        # Events are rare: start from there. Nothing is corrected before it is learned.
        with torch.no_grad():
            _, events, correction, _ = self.net.output.bias.split(self.widths)
            events.fill_(-4.0)
            correction.zero_()

    def forward(self, features: Tensor) -> Outcomes:
        """(..., features) float32."""
        terms, events, correction, doubt = self.net(features).float().split(self.widths, -1)
        return Outcomes(
            terms.unflatten(-1, (self.ahead, len(UNCERTAIN_TERMS), BINS)),
            events.unflatten(-1, (self.ahead, len(EVENTS))),
            correction * self.units,
            doubt[..., 0],
        )

    def expected_terms(self, outcomes: Outcomes) -> Tensor:
        """(..., 3) float32, the means of the binned distributions of the moment's own terms."""
        return (outcomes.terms[..., 0, :, :].softmax(-1) * self.bins).sum(-1)

    @staticmethod
    def probabilities(outcomes: Outcomes) -> Tensor:
        """(..., 4) float32 of the moment's own events."""
        return logistic(outcomes.events[..., 0, :])

    @staticmethod
    def uncertainty(outcomes: Outcomes) -> Tensor:
        """(...) float32, 0 or more: the root mean square error to be expected of the tokens, of 2 from end to end."""
        return (outcomes.doubt.exp() - DOUBT_FLOOR).clamp_min(0)
