"""The ego's own motion, trained by itself in the end: it needs no pictures, so that many more steps cost little.

Thin lines in a view are half a metre wide: a few centimetres of the ego's place decide whether they meet the true ones.
"""

from __future__ import annotations

import torch
from tqdm import tqdm

from learned_sim_env.training.batches import WindowSampler
from learned_sim_env.training.config import TrainConfig
from learned_sim_env.training.losses import path_loss
from learned_sim_env.training.schedule import share_of_peak
from learned_sim_env.world_model.ego_path import EgoPath

# Gradients are scaled down to this norm; share of the learning rate's peak at which it ends; steps over which it rises.
CLIP_NORM, LAST, WARMUP = 5.0, 0.01, 100


def settle(path: EgoPath, windows: WindowSampler, config: TrainConfig) -> None:
    """Train `path` for `config.path_steps` more steps, in place; which windows it sees follows from the seed alone."""
    optimizer = torch.optim.AdamW(path.parameters(), config.path_learning_rate, weight_decay=1e-5)
    device = next(path.parameters()).device
    for step in tqdm(range(config.path_steps), desc="ego's own motion", unit="step", disable=None):
        for group in optimizer.param_groups:
            group["lr"] = config.path_learning_rate * share_of_peak(step, config.path_steps, WARMUP, LAST)
        # Other windows than those of the steps before.
        loss = path_loss(path, windows.sample_paths(config.path_batch, config.seed + 1, step).to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(path.parameters(), CLIP_NORM)
        optimizer.step()
