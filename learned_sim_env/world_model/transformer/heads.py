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
# Numbers that doubt has beside features, see `doubt`.
SIGNALS = 2


class Outcomes(NamedTuple):
    """Predictions (...) of the moment, and of `ahead` - 1 steps after it, whose actions are not known.

    terms: (..., ahead, 3, BINS) logits. events: (..., ahead, 4) logits. correction: (..., 2), to be added to the
    distance [m] and heading error [rad] of the frame's condition.
    """

    terms: Tensor
    events: Tensor
    correction: Tensor


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
        self.widths = [ahead * len(UNCERTAIN_TERMS) * BINS, ahead * len(EVENTS), len(CORRECTION)]
        self.net = MLP(features, (hidden,), sum(self.widths))
        # Events are rare: start from there. Nothing is corrected before it is learned.
        with torch.no_grad():
            _, events, correction = self.net.output.bias.split(self.widths)
            events.fill_(-4.0)
            correction.zero_()

    def forward(self, features: Tensor) -> Outcomes:
        """(..., features) float32."""
        terms, events, correction = self.net(features).float().split(self.widths, -1)
        return Outcomes(
            terms.unflatten(-1, (self.ahead, len(UNCERTAIN_TERMS), BINS)),
            events.unflatten(-1, (self.ahead, len(EVENTS))),
            correction * self.units,
        )

    def expected_terms(self, outcomes: Outcomes) -> Tensor:
        """(..., 3) float32, the means of the binned distributions of the moment's own terms."""
        return (outcomes.terms[..., 0, :, :].softmax(-1) * self.bins).sum(-1)

    @staticmethod
    def probabilities(outcomes: Outcomes) -> Tensor:
        """(..., 4) float32 of the moment's own events."""
        return logistic(outcomes.events[..., 0, :])


class Doubt(nn.Module):
    """How wrong the tokens of a dreamt frame are expected to be, from its features and two `signals` (MMBench2).

    What the two say is in units of their own; this is fitted to the errors that a finished model makes.
    """

    def __init__(self, features: int, hidden: int):
        super().__init__()
        # The mean of several numbers: a CPU multiplies by a single column in another way for one row than for more.
        self.net = MLP(features + SIGNALS, (hidden,), 32)

    def forward(self, features: Tensor, signals: Tensor) -> Tensor:
        """(...) float32, log of the error and `DOUBT_FLOOR`; features (..., F), signals (..., SIGNALS), 0 or more."""
        # In double precision, so that what a CPU rounds does not depend on where in a tensor a number stands.
        known = (signals.double() + DOUBT_FLOOR).log().float()
        return self.net(torch.cat([features.float(), known], -1)).double().mean(-1).float()

    def uncertainty(self, features: Tensor, signals: Tensor) -> Tensor:
        """(...) float32, 0 or more: the root mean square error to be expected of the tokens, of 2 from end to end."""
        return (self(features, signals).double().exp() - DOUBT_FLOOR).clamp_min(0).float()
