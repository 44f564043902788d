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
