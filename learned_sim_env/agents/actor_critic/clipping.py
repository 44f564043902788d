"""Gradients held in proportion to the weights that they change."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


@torch.no_grad()
def clip_adaptively(parameters: Iterable[nn.Parameter], most: float, floor: float = 1e-3) -> None:
    """Scale each parameter's gradient down to `most` times the parameter's norm (arXiv 2102.06171, by whole tensors).

    floor: a smaller norm of a parameter, as of one that begins at 0, counts as this.
    """
    for parameter in parameters:
        if parameter.grad is not None:
            bound = most * parameter.norm().clamp_min(floor)
            parameter.grad.mul_((bound / parameter.grad.norm().clamp_min(1e-12)).clamp_max(1.0))
