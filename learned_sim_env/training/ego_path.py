"""What the ego's own motion is trained for: over many steps on its own predictions, by itself or beside the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from learned_sim_env.training.alone import train_alone
from learned_sim_env.training.batches import Paths, WindowSampler
from learned_sim_env.training.reductions import huber, masked_mean
from learned_sim_env.world_model.ego_path import ACTION_HISTORY, MOTION_HISTORY, EgoPath
from learned_sim_env.world_model.geometry import integrate, relative

# How far ahead the ego's motion is foreseen, for which share of the steps, with which share of the learning rate: what
# happens in one step is learned far sooner than what adds up over many, and is most of it.
PATH_STAGES = ((1, 0.3, 1.0), (10, 0.5, 0.5), (40, 0.2, 0.15))


class PathTraining(Protocol):
    """Settings that `fine_tune_path` reads, as the architectures that have an `EgoPath` do."""

    @property
    def path_steps(self) -> int:
        """Steps in all."""
        ...

    @property
    def path_batch(self) -> int:
        """Windows a step."""
        ...

    @property
    def path_learning_rate(self) -> float:
        """Its peak."""
        ...


def fine_tune_path(
    path: EgoPath, windows: WindowSampler, settings: PathTraining, seed: int, folder: Path | None = None
) -> None:
    """Train `path` for `path_steps` more steps, in place; which windows it sees follows from the seed alone.

    folder: see `train_alone`.
    """
    device = next(path.parameters()).device
    for horizon, share, rate in PATH_STAGES:
        some = WindowSampler(windows.data, windows.context, min(horizon, windows.horizon), windows.dt)

        def loss(step: int, some: WindowSampler = some) -> Tensor:
            # Other windows than those of the steps before.
            return path_loss(path, some.sample_paths(settings.path_batch, seed + 1, step).to(device))

        name = f"ego's own motion, {some.horizon} steps ahead"
        train_alone(path, loss, round(share * settings.path_steps), rate * settings.path_learning_rate, name, folder)


def path_loss(path: EgoPath, batch: Paths) -> Tensor:
    """Loss of the ego's motion: read off the context's observations, then predicted on its own predictions."""
    c, known = batch.context, batch.imaginable & batch.known["motion"]
    ego, b = batch.ego, len(batch.ego)
    motions, actions = ego.new_zeros(b, MOTION_HISTORY, 3), ego.new_zeros(b, ACTION_HISTORY, 2)
    speed, seen = ego.new_zeros(b), torch.zeros(b, dtype=torch.bool, device=ego.device)
    observed, predicted, speeds = [], [], []
    for t in range(c):
        motions, actions = path.observe(motions, actions, speed, batch.actions[:, t], ego[:, t], seen)
        speed, seen = ego[:, t, 0], torch.ones_like(seen)
        observed.append(motions[:, -1])
    for t in range(c, ego.shape[1]):
        motions, actions, speed = path.imagine(motions, actions, speed, batch.actions[:, t])
        predicted.append(motions[:, -1])
        speeds.append(speed)
    read = (torch.stack(observed[1:], 1) - batch.motion[:, 1:c]) / path.change[:3]
    motion = torch.stack(predicted, 1)
    step = (motion - batch.motion[:, c:]) / path.change[:3]
    # Small errors of every step add up to the pose: that is what the picture hangs on.
    drift = relative(integrate(motion), batch.pose[:, c:])
    fast = (torch.stack(speeds, 1) - ego[:, c:, 0])[..., None] / path.change[3]
    ahead = huber(step) + 0.3 * huber(fast) + huber(drift / drift.new_tensor([0.2, 0.2, 0.03]))
    return masked_mean(ahead, (known & batch.known["pose"])[:, c:]) + masked_mean(huber(read), known[:, 1:c])
