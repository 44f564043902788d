"""Numbers of any size as distributions over bins that lie closer together near 0."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def symexp(x: Tensor) -> Tensor:
    """sign(x) (exp |x| - 1)."""
    return x.sign() * torch.expm1(x.abs())


class SymexpTwoHot(nn.Module):
    """Distributions over symexp(-8) to symexp(8), trained by cross-entropy with a two-hot target (DreamerV3, eq. 9).

    The size of a gradient does not depend on that of the numbers, and the mean is that of the numbers themselves. The
    original reaches to symexp(20), 5e8: there a probability of 1e-8 that is not yet unlearned still moves the mean by
    5, which takes longer to go than a short run lasts. Larger numbers than symexp(8), 2,980, count as that.

    Args:
        count: of bins, odd.
        reach: of the outermost, before symexp.

    Attributes:
        first: (count,) logits to begin with: a mean of 0, to which no bin contributes much.
    """

    bins: Tensor
    first: Tensor

    def __init__(self, count: int = 255, reach: float = 8.0):
        super().__init__()
        # One half mirrored, so that both halves are alike to the bit.
        half = symexp(torch.linspace(-reach, 0, count // 2 + 1, dtype=torch.float64)).float()
        self.register_buffer("bins", torch.cat([half, -half[:-1].flip(0)]), persistent=False)
        self.register_buffer("first", -torch.linspace(-reach, reach, count).abs(), persistent=False)

    def mean(self, logits: Tensor) -> Tensor:
        """(...) of logits (..., bins); 0 for equal ones."""
        likely = logits.softmax(-1)
        middle = len(self.bins) // 2
        # The outermost bins are so large that the order of summation matters: each with its mirror image first.
        pairs = (likely[..., middle + 1 :] - likely[..., :middle].flip(-1)) * self.bins[middle + 1 :]
        return pairs.sum(-1)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropies (...) of logits (..., bins) with numbers (...)."""
        return self.surprise(logits.log_softmax(-1), targets)

    def surprise(self, logs: Tensor, targets: Tensor) -> Tensor:
        """As `loss`, of log-probabilities (..., bins): only those of a target's two bins count."""
        held = targets.clamp(self.bins[0], self.bins[-1])
        above = torch.searchsorted(self.bins, held.contiguous()).clamp(1, len(self.bins) - 1)
        low, high = self.bins[above - 1], self.bins[above]
        below_log, above_log = logs.gather(-1, torch.stack([above - 1, above], -1)).unbind(-1)
        return -torch.lerp(below_log, above_log, (held - low) / (high - low))
