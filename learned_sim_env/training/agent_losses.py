"""The losses of road users: found in views, moved, and coming into view."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.training.batches import Batch
from learned_sim_env.training.config import LossConfig
from learned_sim_env.training.reductions import huber, masked_mean
from learned_sim_env.world_model.births import BIRTH_GRID
from learned_sim_env.world_model.detector import LAGS, SIZE_SCALE, detection_loss
from learned_sim_env.world_model.geometry import relative
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm import DrivingRSSM


def detect(model: DrivingRSSM, batch: Batch, config: LossConfig) -> tuple[State, Tensor]:
    """Boxes at the end of the context, without gradient; and the detector's loss, there and at other moments."""
    now, last = batch.context - 1, batch.semantic.shape[1]
    later = (torch.randperm(last - now - 1)[: config.detected_moments] + now + 1).tolist()
    moments = [now, *later]
    lags = [[max(t - lag, 0) for lag in LAGS] for t in moments]
    earlier = torch.cat([batch.semantic[:, some] for some in lags])
    frame = batch.pose[:, moments].transpose(0, 1).flatten(0, 1)[:, None]
    where = relative(torch.cat([batch.pose[:, some] for some in lags]), frame)
    outputs = model.detector(torch.cat([batch.semantic[:, t] for t in moments]), earlier, where)
    pose, motion, size = (
        torch.cat([values[:, t] for t in moments])
        for values in (batch.agent_pose, batch.agent_motion, batch.agent_size)
    )
    seen = torch.cat([_in_view(model, batch.agent_pose[:, t], batch, t) & batch.valid[:, t, None] for t in moments])
    loss = detection_loss(model.detector, outputs, relative(pose, frame), motion, size, seen)
    first = outputs[: len(batch.ego)].detach()
    return model.detector.boxes(first, batch.semantic[:, now], model.config.slots), loss


def start_agents(model: DrivingRSSM, state: State, batch: Batch, config: LossConfig) -> tuple[State, Tensor]:
    """The state with true boxes in most windows; and which true agent (B, K) is in each slot, -1 for none."""
    t, k = batch.context - 1, model.config.slots
    seen = _in_view(model, batch.agent_pose[:, t], batch, t)
    # The nearest come first in the data; those in view move to the front.
    order = torch.argsort(~seen, dim=1, stable=True)[:, :k]
    true = torch.rand(len(seen), 1, device=seen.device) < config.true_agents
    seen = seen.gather(1, order)
    fresh = dict(state)
    for key, values in (
        ("agent_pose", batch.agent_pose),
        ("agent_motion", batch.agent_motion),
        ("agent_size", batch.agent_size),
    ):
        rows = values[:, t].gather(1, order[..., None].expand(-1, -1, values.shape[-1]))
        fresh[key] = torch.where(true[..., None], rows, state[key])
    classes = torch.where(seen, batch.agent_class[:, t].gather(1, order), 0)
    fresh["agent_class"] = torch.where(true, classes, state["agent_class"])
    ids = batch.agent_ids[:, t].gather(1, order)
    return fresh, torch.where(true & seen, ids, -1)


def agent_loss(pose: Tensor, motion: Tensor, ids: Tensor, batch: Batch) -> Tensor:
    """Where agents (B, T, K, 3) are against where the same agents truly are."""
    c = batch.context
    same = (ids[:, None, :, None] == batch.agent_ids[:, c:, None, :]) & (ids >= 0)[:, None, :, None]
    known = same.any(-1) & batch.valid[:, c:, None]
    # Once lost from the data (out of reach, or gone) an agent is not compared again.
    known = known.long().cumprod(1).bool()
    slot = same.float().argmax(-1)[..., None]
    true = batch.agent_pose[:, c:].gather(2, slot.expand(-1, -1, -1, 3))
    speed = batch.agent_motion[:, c:].gather(2, slot.expand(-1, -1, -1, 2))[..., 0]
    error = relative(pose, true) / pose.new_tensor([1.0, 0.5, 0.15])
    loss = huber(error) + huber((motion[..., :1] - speed[..., None]) / 2.0)
    return masked_mean(loss, known)


def birth_loss(model: DrivingRSSM, foreseen: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of the cell in which an agent comes into view, and the error of how it is.

    foreseen: (B * T, hidden), `Latent.foresee` after the steps that follow the context.
    """
    head, c, last = model.births, batch.context, batch.ego.shape[1]
    here = torch.stack([_in_view(model, batch.agent_pose[:, t], batch, t) for t in range(c - 1, last)], 1)
    ids = batch.agent_ids
    before = torch.where(here[:, :-1], ids[:, c - 1 : -1], -2)
    was = (ids[:, c:, :, None] == before[:, :, None]).any(-1)
    born = (here[:, 1:] & ~was & batch.valid[:, c:, None]).flatten(0, 1)
    who = born.float().argmax(-1)[:, None, None]

    def of_it(values: Tensor) -> Tensor:
        rows = values[:, c:].flatten(0, 1)
        return rows.gather(1, who.expand(-1, 1, rows.shape[-1]))[:, 0]

    born = born.any(-1)
    pose = relative(of_it(batch.agent_pose), batch.pose[:, c:].flatten(0, 1))
    cell = head.cell_at(pose[:, :2])
    logits, attributes = head.guesses(foreseen)
    wrong = F.cross_entropy(logits, torch.where(born, cell, BIRTH_GRID**2), reduction="none")
    size, speed = of_it(batch.agent_size), of_it(batch.agent_motion)[:, :1]
    place = (pose[:, :2] - head.middles[cell]) / head.cell
    wanted = [place, pose[:, 2:].cos(), pose[:, 2:].sin(), speed / 10, (size / size.new_tensor(SIZE_SCALE)).log()]
    found = attributes + head.common(cell)
    error = F.smooth_l1_loss(found, torch.cat(wanted, -1), beta=0.1, reduction="none")
    return masked_mean(wrong + torch.where(born, error.sum(-1), 0), batch.valid[:, c:].flatten())


def _in_view(model: DrivingRSSM, pose: Tensor, batch: Batch, t: int) -> Tensor:
    """Which agents (B, N) have their middle in the ego's view at moment t."""
    bev = model.contract.bev
    row, column = bev.pixels(relative(pose, batch.pose[:, t, None]))
    inside = (row > -0.5) & (row < bev.height - 0.5) & (column > -0.5) & (column < bev.width - 0.5)
    return inside & (batch.agent_ids[:, t] >= 0)
