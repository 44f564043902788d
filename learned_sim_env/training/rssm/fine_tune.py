"""What is trained by itself in the end: it needs no pictures, so that many more steps cost little.

The ego's own motion, because thin lines in a view are half a metre wide: a few centimetres of the ego's place decide
whether they meet the true ones. And how other road users move, because the ego drives among them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from learned_sim_env.training.alone import train_alone
from learned_sim_env.training.batches import WindowSampler
from learned_sim_env.training.rssm.agent_losses import traffic_loss
from learned_sim_env.training.rssm.settings import RSSMSettings
from learned_sim_env.world_model.rssm.model import DrivingRSSM


def fine_tune_agents(
    model: DrivingRSSM, windows: WindowSampler, settings: RSSMSettings, seed: int, folder: Path | None = None
) -> None:
    """Train `model.agent_motion` for `agent_steps` more steps, in place; chance follows from the seed alone.

    folder: see `train_alone`.
    """
    device = next(model.parameters()).device

    def loss(step: int) -> Tensor:
        torch.manual_seed(seed * 1_000_003 + step)
        return traffic_loss(model, windows.sample_traffic(settings.agent_batch, seed + 1, step).to(device))

    train_alone(model.agent_motion, loss, settings.agent_steps, settings.agent_learning_rate, "others' motion", folder)
