"""Training a part of a model by itself."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from tqdm import tqdm

from learned_sim_env.training.schedule import share_of_peak

# Gradients are scaled down to this norm; share of the learning rate's peak at which it ends; steps over which it rises.
CLIP_NORM, LAST, WARMUP = 5.0, 0.01, 100


def train_alone(module: nn.Module, loss_of: Callable[[int], Tensor], steps: int, peak: float, name: str) -> None:
    """Train what is in `module`, by a loss of each step."""
    optimizer = torch.optim.AdamW(module.parameters(), peak, weight_decay=1e-5)
    for step in tqdm(range(steps), desc=name, unit="step", disable=None):
        for group in optimizer.param_groups:
            group["lr"] = peak * share_of_peak(step, steps, WARMUP, LAST)
        loss = loss_of(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), CLIP_NORM)
        optimizer.step()
