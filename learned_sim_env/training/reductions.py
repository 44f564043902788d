"""How errors become a loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def huber(error: Tensor) -> Tensor:
    """Smooth L1 of errors in units that make 1 large, summed over the last dimension."""
    return F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none", beta=0.5).sum(-1)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask`."""
    return (values * mask).sum() / mask.sum().clamp_min(1)


def balanced_kl(prior: Tensor, posterior: Tensor, free_nats: float = 1.0) -> tuple[Tensor, Tensor]:
    """Dynamics and representation loss (B,) of two sets of probabilities (B, groups, classes), each >= `free_nats`.

    As DreamerV3 (arXiv 2301.04104).
    """

    def kl(q: Tensor, p: Tensor) -> Tensor:
        return (q * (q.log() - p.log())).sum((-1, -2))

    return kl(posterior.detach(), prior).clamp_min(free_nats), kl(posterior, prior.detach()).clamp_min(free_nats)
