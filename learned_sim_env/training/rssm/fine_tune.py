"""What is trained by itself in the end: it needs no pictures, so that many more steps cost little.

The ego's own motion, because thin lines in a view are half a metre wide: a few centimetres of the ego's place decide
whether they meet the true ones. And how other road users move, because the ego drives among them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from tqdm import tqdm

from learned_sim_env.training.batches import WindowSampler
from learned_sim_env.training.rssm.agent_losses import traffic_loss
from learned_sim_env.training.rssm.losses import path_loss
from learned_sim_env.training.rssm.settings import RSSMSettings
from learned_sim_env.training.schedule import share_of_peak
from learned_sim_env.world_model.ego_path import EgoPath
from learned_sim_env.world_model.rssm.model import DrivingRSSM

# How far ahead the ego's motion is foreseen, for which share of the steps, with which share of the learning rate: what
# happens in one step is learned far sooner than what adds up over many, and is most of it.
PATH_STAGES = ((1, 0.3, 1.0), (10, 0.5, 0.5), (40, 0.2, 0.15))
# Gradients are scaled down to this norm; share of the learning rate's peak at which it ends; steps over which it rises.
CLIP_NORM, LAST, WARMUP = 5.0, 0.01, 100


def fine_tune_path(path: EgoPath, windows: WindowSampler, settings: RSSMSettings, seed: int) -> None:
    """Train `path` for `path_steps` more steps, in place; which windows it sees follows from the seed alone."""
    device = next(path.parameters()).device
    for horizon, share, rate in PATH_STAGES:
        some = WindowSampler(windows.data, windows.context, min(horizon, windows.horizon), windows.dt)

        def loss(step: int, some: WindowSampler = some) -> Tensor:
            # Other windows than those of the steps before.
            return path_loss(path, some.sample_paths(settings.path_batch, seed + 1, step).to(device))

        name = f"ego's own motion, {some.horizon} steps ahead"
        train_alone(path, loss, round(share * settings.path_steps), rate * settings.path_learning_rate, name)


def fine_tune_agents(model: DrivingRSSM, windows: WindowSampler, settings: RSSMSettings, seed: int) -> None:
    """Train `model.agent_motion` for `agent_steps` more steps, in place; chance follows from the seed alone."""
    device = next(model.parameters()).device

    def loss(step: int) -> Tensor:
        torch.manual_seed(seed * 1_000_003 + step)
        return traffic_loss(model, windows.sample_traffic(settings.agent_batch, seed + 1, step).to(device))

    train_alone(model.agent_motion, loss, settings.agent_steps, settings.agent_learning_rate, "others' motion")


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
