"""The losses of road users: found in views, moved, and coming into view."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.training.batches import Batch, TrafficWindows, WindowSampler
from learned_sim_env.training.reductions import huber, masked_mean
from learned_sim_env.training.rssm.settings import LossConfig
from learned_sim_env.world_model.ego_path import MOTION_HISTORY
from learned_sim_env.world_model.geometry import points_from, relative, sample_nearest
from learned_sim_env.world_model.layers import two_hot
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.agents.births import BIRTH_GRID, DIRECTIONS
from learned_sim_env.world_model.rssm.agents.box_refiner import REFINEMENTS, BoxRefiner, corrected, errors_of
from learned_sim_env.world_model.rssm.agents.boxes import UNKNOWN_ACCELERATION
from learned_sim_env.world_model.rssm.agents.detector import LAGS, SIZE_SCALE, detection_loss, views_of_movers
from learned_sim_env.world_model.rssm.agents.motion import advance
from learned_sim_env.world_model.rssm.map.memory import UNKNOWN
from learned_sim_env.world_model.rssm.model import DrivingRSSM

# Noise on the inputs of `agent_motion` in training: an error of the speed that lasts for as long as the agent is
# imagined, and errors that are new in every step.
SPEED_OFF, SPEED_NOISE, ACCELERATION_NOISE = 0.4, 0.1, 0.2  # [m/s, m/s, m/s^2]
# Noise on the boxes that are refined in training, see `box_refiner.ERRORS`.
BOX_NOISE = (0.4, 0.25, 0.1, 1.2, 0.1, 0.4, 0.15)
# Moments at which others are counted.
AROUND = 1024


def detect(model: DrivingRSSM, batch: Batch, config: LossConfig) -> tuple[State, Tensor]:
    """Boxes at the end of the context, without gradient; and the detector's loss, there and at other moments."""
    now, last = batch.context - 1, batch.observations["bev"].shape[1]
    later = (torch.randperm(last - now - 1)[: config.detected_moments] + now + 1).tolist()
    moments = [now, *later]
    lags = [[max(t - lag, 0) for lag in LAGS] for t in moments]
    earlier = torch.cat([batch.observations["bev"][:, some] for some in lags])
    frame = batch.pose[:, moments].transpose(0, 1).flatten(0, 1)[:, None]
    where = relative(torch.cat([batch.pose[:, some] for some in lags]), frame)
    semantic = torch.cat([batch.observations["bev"][:, t] for t in moments])
    outputs = model.detector(semantic, earlier, where)
    pose, motion, size = (
        torch.cat([values[:, t] for t in moments])
        for values in (batch.agent_pose, batch.agent_motion, batch.agent_size)
    )
    # Where agents were not recorded, nobody is known not to be there.
    told = torch.cat([batch.known_past_end("agents")[:, t] for t in moments])
    there = batch.known["agents"]
    seen = torch.cat([_in_view(model, batch.agent_pose[:, t], batch, t) & there[:, t, None] for t in moments])
    pose = relative(pose, frame)
    loss = detection_loss(model.detector, *(x[told] for x in (outputs, pose, motion, size, seen)))
    true = torch.cat([pose, motion, size], -1)
    loss = loss + box_refiner_loss(model.detector.close_look, true, seen, *views_of_movers(semantic, earlier, where))
    first = slice(len(batch.ego))
    with torch.no_grad():
        boxes = model.detector.boxes(outputs[first], semantic[first], earlier[first], where[first], model.config.slots)
    return boxes, loss


def box_refiner_loss(refiner: BoxRefiner, true: Tensor, seen: Tensor, movers: Tensor, frames: Tensor) -> Tensor:
    """Loss of the corrections of boxes that are slightly off.

    true: (B, N, 7) as `BoxRefiner` has them, of which those `seen` (B, N) count. movers, frames: of the B views.
    """
    row, slot = seen.nonzero(as_tuple=True)
    if not len(row):
        return true.new_zeros(())
    wanted = true[row, slot]
    # Some are nearly right, some are far off.
    off = torch.randn_like(wanted) * wanted.new_tensor(BOX_NOISE) * 1.5 * torch.rand_like(wanted[:, :1])
    boxes, loss = corrected(wanted, off), true.new_zeros(())
    for _ in range(REFINEMENTS):
        errors = refiner(boxes, movers[row], frames[row])
        loss = loss + huber((errors - errors_of(boxes, wanted)) / refiner.scale).mean()
        boxes = corrected(boxes, errors.detach())
    return loss


def start_agents(model: DrivingRSSM, state: State, batch: Batch, config: LossConfig) -> State:
    """The state with true boxes in most windows."""
    t = batch.context - 1
    order, seen = _nearest(model, batch)
    true = torch.rand(len(seen), 1, device=seen.device) < config.true_agents
    true &= batch.known["agents"][:, t, None]
    motion = F.pad(batch.agent_motion[:, t], (0, 1), value=UNKNOWN_ACCELERATION)
    fresh = dict(state)
    for key, values in (
        ("agent_pose", batch.agent_pose[:, t]),
        ("agent_motion", motion),
        ("agent_size", batch.agent_size[:, t]),
    ):
        rows = values.gather(1, order[..., None].expand(-1, -1, values.shape[-1]))
        fresh[key] = torch.where(true[..., None], rows, state[key])
    classes = torch.where(seen, batch.agent_class[:, t].gather(1, order), 0)
    fresh["agent_class"] = torch.where(true, classes, state["agent_class"])
    return fresh


def traffic_loss(model: DrivingRSSM, batch: TrafficWindows) -> Tensor:
    """How well `agent_motion` predicts the agents that are in view at the end of the context, see `traffic_errors`."""
    surprise, aside, known = traffic_errors(model, batch)
    return masked_mean(surprise + aside, known)


def traffic_errors(model: DrivingRSSM, batch: TrafficWindows) -> tuple[Tensor, Tensor, Tensor]:
    """Two losses (B, T, K) of the steps of agents that follow the context, and which of them are known.

    Along their paths agents are kept at their true positions, and the loss is the cross-entropy of their accelerations,
    because several may be plausible. Steering follows from the road: laterally and in heading agents continue from the
    model's own predictions, and the loss is the deviation.
    """
    c, motion = batch.context - 1, model.agent_motion
    order, there = _nearest(model, batch)
    pose, moving, known = followed(model, batch)
    speed, size = moving[..., 0], batch.agent_size[:, c].gather(1, order[..., None].expand(-1, -1, 2))
    classes = torch.where(there, batch.agent_class[:, c].gather(1, order), 0)
    here, yaw_rate = pose[:, 0], moving[:, 0, :, 1]
    acceleration = torch.full_like(yaw_rate, UNKNOWN_ACCELERATION)
    off = SPEED_OFF * torch.randn_like(yaw_rate)
    surprises, deviations = [], []
    for t in range(1, pose.shape[1]):
        ego = batch.pose[:, c + t]
        seen = relative(here, ego[:, None])
        places, inside = sample_nearest(batch.ground, points_from(motion.places(seen), ego), model.contract.bev)
        felt = (speed[:, t - 1] + off + SPEED_NOISE * torch.randn_like(yaw_rate)).relu()
        if t > 1:
            acceleration = acceleration + ACCELERATION_NOISE * torch.randn_like(yaw_rate)
        logits, turning = motion.guesses(
            seen,
            torch.stack([felt, yaw_rate, acceleration], -1),
            size,
            classes,
            torch.cat([batch.motion[:, c + t + 1 - MOTION_HISTORY, :1] / motion.dt, batch.ego[:, c + t, :2]], 1),
            torch.where(inside, places, UNKNOWN),
        )
        acceleration = (speed[:, t] - speed[:, t - 1]) / motion.dt
        surprises.append(-(two_hot(acceleration, motion.accelerations) * logits.log_softmax(-1)).sum(-1))
        yaw_rate = yaw_rate + turning
        here = advance(here, torch.stack([speed[:, t], yaw_rate], -1), motion.dt)
        aside = relative(here, pose[:, t])[..., 1:] / here.new_tensor([0.5, 0.15])
        deviations.append(huber(aside))
    return torch.stack(surprises, 1), torch.stack(deviations, 1), known[:, 1:]


def _nearest(model: DrivingRSSM, batch: TrafficWindows) -> tuple[Tensor, Tensor]:
    """Which agents (B, slots) a model remembers at the end of the context, and whether there is one: those in view."""
    seen = _in_view(model, batch.agent_pose[:, batch.context - 1], batch, batch.context - 1)
    # The nearest come first in the data; those in view move to the front.
    order = torch.argsort(~seen, dim=1, stable=True)[:, : model.config.slots]
    return order, seen.gather(1, order)


def followed(model: DrivingRSSM, batch: TrafficWindows) -> tuple[Tensor, Tensor, Tensor]:
    """True poses (B, T, K, 3) and motions (B, T, K, 2) of the agents that a model remembers at the end of the context,
    from then on, and whether they are known (B, T, K). Once lost from the data (out of reach, or gone) an agent is not
    known again, and without the ground that they drive on none is.
    """
    c = batch.context - 1
    order, seen = _nearest(model, batch)
    ids = torch.where(seen, batch.agent_ids[:, c].gather(1, order), -1)
    same = (ids[:, None, :, None] == batch.agent_ids[:, c:, None, :]) & (ids >= 0)[:, None, :, None]
    there = batch.imaginable & batch.known["agents"] & batch.known["map"][:, c : c + 1]
    known = (same.any(-1) & there[:, c:, None]).long().cumprod(1).bool()
    slot = same.float().argmax(-1)[..., None]
    pose, motion = (
        values[:, c:].gather(2, slot.expand(-1, -1, -1, values.shape[-1]))
        for values in (batch.agent_pose, batch.agent_motion)
    )
    return pose, motion, known


def birth_loss(model: DrivingRSSM, foreseen: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of the cell in which an agent comes into view, and of its kind, and the error of how it is.

    foreseen: (B * T, hidden), `Latent.foresee` after the steps that follow the context.
    """
    head, c, last = model.births, batch.context, batch.ego.shape[1]
    here = torch.stack([_in_view(model, batch.agent_pose[:, t], batch, t) for t in range(c - 1, last)], 1)
    ids = batch.agent_ids
    before = torch.where(here[:, :-1], ids[:, c - 1 : -1], -2)
    was = (ids[:, c:, :, None] == before[:, :, None]).any(-1)
    told = (batch.imaginable & batch.known["agents"])[:, c - 1 :]
    told = (told[:, 1:] & told[:, :-1]).flatten()
    born = (here[:, 1:] & ~was).flatten(0, 1) & told[:, None]
    agent_index = born.float().argmax(-1)[:, None, None]

    def of_it(values: Tensor) -> Tensor:
        rows = values[:, c:].flatten(0, 1)
        return rows.gather(1, agent_index.expand(-1, 1, rows.shape[-1]))[:, 0]

    born = born.any(-1)
    pose = relative(of_it(batch.agent_pose), batch.pose[:, c:].flatten(0, 1))
    cell = head.cell_at(pose[:, :2])
    logits, kinds, attributes = head.guesses(foreseen)
    wrong = F.cross_entropy(logits, torch.where(born, cell, BIRTH_GRID**2), reduction="none")
    kind, direction, turned = head.kind_of(pose[:, 2], of_it(batch.agent_motion)[:, 0])
    other = F.cross_entropy(kinds + head.common_kinds(cell), kind, reduction="none")
    size, place = of_it(batch.agent_size), (pose[:, :2] - head.middles[cell]) / head.cell
    wanted = torch.cat([place, turned[:, None], (size / size.new_tensor(SIZE_SCALE)).log()], -1)
    found = attributes + head.common(cell * DIRECTIONS + direction)
    error = F.smooth_l1_loss(found, wanted, beta=0.1, reduction="none")
    return masked_mean(wrong + torch.where(born, other + error.sum(-1), 0), told)


def others_around(model: DrivingRSSM, windows: WindowSampler) -> int:
    """How many others there are in view at most, but for the fullest hundredth of moments."""
    batch = windows.sample_traffic(AROUND, 0, 0)
    now = batch.context - 1
    count = (_in_view(model, batch.agent_pose[:, now], batch, now) & batch.known["agents"][:, now, None]).sum(1)
    return int(count.float().quantile(0.99).ceil())


def _in_view(model: DrivingRSSM, pose: Tensor, batch: TrafficWindows, t: int) -> Tensor:
    """Which agents (B, N) have their middle in the ego's view at moment t."""
    bev = model.contract.bev
    row, column = bev.pixels(relative(pose, batch.pose[:, t, None]))
    inside = (row > -0.5) & (row < bev.height - 0.5) & (column > -0.5) & (column < bev.width - 0.5)
    return inside & (batch.agent_ids[:, t] >= 0)
