"""What one can predict without a model: everything learned is to be judged beside it.

All but `copied` and `constant_motion` are given how the ego will truly move, which no model is.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.rendering.boxes import paint_boxes
from learned_sim_env.spec import BevSpec, SemanticClass
from learned_sim_env.training.batches import Batch
from learned_sim_env.world_model.geometry import integrate, relative, viewed_from


def copied(batch: Batch) -> np.ndarray:
    """(B, T, H, W) uint8: the last view of the context, again and again."""
    last = batch.observations["bev"][:, batch.context - 1, None]
    return last.expand(-1, batch.observations["bev"].shape[1] - batch.context, -1, -1).numpy()


def moved(batch: Batch, bev: BevSpec) -> np.ndarray:
    """(B, T, H, W) uint8: the last view as seen from where the ego truly is by then, as if all stood still."""
    last, static = batch.observations["bev"][:, batch.context - 1], batch.static[:, batch.context - 1]
    return warp(torch.where(last == SemanticClass.EGO, static, last), batch.pose[:, batch.context :], bev).numpy()


def drifted(batch: Batch, velocity: np.ndarray, bev: BevSpec, dt: float) -> np.ndarray:
    """(B, T, H, W) uint8: as `moved`, but the movers are their true boxes, keeping velocity and heading.

    velocity: (B, 16, 2) [m/s], in the frame of the ego at the last moment of the context.
    """
    now, pose = batch.context - 1, batch.pose[:, batch.context :]
    b, t = pose.shape[:2]
    views = warp(batch.static[:, now], pose, bev).numpy()
    elapsed = dt * torch.arange(1, t + 1)[:, None, None]
    place = batch.agent_pose[:, None, now, :, :2] + torch.from_numpy(velocity).float()[:, None] * elapsed
    heading = batch.agent_pose[:, None, now, :, 2:].expand(-1, t, -1, -1)
    boxes = relative(torch.cat([place, heading], -1), pose[:, :, None])
    there = (batch.agent_ids[:, now] >= 0)[:, None].expand(-1, t, -1)
    view = torch.arange(b * t).view(b, t, 1).expand_as(there)[there]
    size = batch.agent_size[:, None, now].expand(-1, t, -1, -1)[there]
    classes = batch.agent_class[:, None, now].expand_as(there)[there]
    flat = views.reshape(b * t, bev.height, bev.width)
    paint_boxes(flat, view.numpy(), boxes[there].numpy(), size.numpy(), classes.numpy(), bev)
    return flat.reshape(views.shape)


def constant_motion(batch: Batch) -> Tensor:
    """(B, T, 3): where the ego is if every step's motion is that of the last step of the context."""
    last = batch.motion[:, batch.context - 1, None]
    return integrate(last.expand(-1, batch.motion.shape[1] - batch.context, -1))


def warp(view: Tensor, pose: Tensor, bev: BevSpec) -> Tensor:
    """Views (B, H, W) uint8 as seen from `pose` (B, T, 3), in their own frames: (B, T, H, W), see `viewed_from`."""
    again = view.repeat_interleave(pose.shape[1], 0)
    return viewed_from(again, pose.flatten(0, 1), bev).unflatten(0, pose.shape[:2])
