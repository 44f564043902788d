"""The loss of what stands still: how imagined road goes on from remembered road."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.training.batches import Batch
from learned_sim_env.training.reductions import masked_mean
from learned_sim_env.training.rssm.settings import LossConfig
from learned_sim_env.world_model.geometry import relative, unwound
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.map.decoder import CLASS_WEIGHTS
from learned_sim_env.world_model.rssm.map.memory import MARGIN, UNKNOWN
from learned_sim_env.world_model.rssm.model import DrivingRSSM
from learned_sim_env.world_model.rssm.route.path import chain, seen_from


def map_loss(
    model: DrivingRSSM, states: list[State], h: Tensor, z: Tensor, batch: Batch, config: LossConfig
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of what stands still: along an imagined drive, and at some observed moments from the latent alone.

    The drive is drawn as it will be in use: what was imagined at one moment is remembered at the next. Also the share
    of the view (B, T) drawn wrong at the moments after the context, against what is truly seen then, wherever the ego
    was imagined to be; NaN where the model was not left to itself, or the map is not known.
    """
    memory, c, device = model.memory, batch.context, batch.ego.device
    truth, origin = _true_map(model, batch, config)
    cells, home = states[0]["map"], states[0]["map_origin"]
    own = torch.rand(len(batch.ego), 1, 1, device=device) < config.own
    drawn = torch.randperm(len(states) - 1)[: config.drawn_moments].add(1).sort().values.tolist()
    known_map = batch.imaginable & batch.known["map"] & batch.known["stations"] & batch.known["pose"]
    losses, valid = [], []
    wrong = batch.ego.new_full(batch.ego.shape[:2], torch.nan)
    for i in [0, *drawn]:
        pose = states[i]["pose"].detach()
        cells, home = memory.follow(cells, home, pose)
        if i:
            ago = int(torch.randint(1, config.reveal_steps + 1, ()))
            earlier = states[max(i - ago, 0)]["pose"].detach()
            shown = memory.read_canvas(truth, origin, earlier)
            memory.commit(cells, home, earlier, shown, (shown != UNKNOWN) & ~own)
        known = memory.read_canvas(cells, home, pose)
        known = known.masked_fill(torch.rand(len(own), 1, 1, device=device) < config.blank, UNKNOWN)
        logits, swept = model.decoder(
            torch.cat([states[i]["h"], states[i]["z"]], -1), _route(batch, c - 1 + i, pose, config), known
        )
        target = memory.read_canvas(truth, origin, pose)
        losses.append(_canvas_loss(logits, known, target, config))
        valid.append(known_map[:, c - 1 + i])
        drawn_ids = torch.where(known == UNKNOWN, model.decoder.choose(logits.detach(), swept), known)
        memory.commit(cells, home, pose, drawn_ids, own & (known == UNKNOWN))
        seen = memory.read_canvas(truth, origin, batch.pose[:, c - 1 + i])
        judged = own[:, 0, 0] & known_map[:, c - 1 + i]
        wrong[:, c - 1 + i] = torch.where(judged, _share_wrong(drawn_ids, seen), torch.nan)
    # Without this the encoder would be taught only through imagination, and its latents would say little.
    for i in torch.randperm(h.shape[1])[: config.seen_moments].tolist():
        pose = batch.pose[:, c + i]
        target = memory.read_canvas(truth, origin, pose)
        nothing = torch.full_like(target, UNKNOWN)
        logits, _ = model.decoder(torch.cat([h[:, i], z[:, i]], -1), _route(batch, c + i, pose, config), nothing)
        losses.append(_canvas_loss(logits, nothing, target, config))
        valid.append(known_map[:, c + i])
    return masked_mean(torch.cat(losses), torch.cat(valid)), wrong[:, c:]


def _route(batch: Batch, t: int, pose: Tensor, config: LossConfig) -> Tensor:
    """The true route at moment t as seen from `pose` (B, 3), bent a little, as it will be when found in views."""
    noise = config.route_noise * torch.randn_like(batch.route[:, t]).cumsum(-1)
    route = chain(unwound(batch.route[:, t] + batch.ego[:, t, 5:]) + noise, batch.ego[:, t])
    return seen_from(route, relative(pose, batch.pose[:, t]))


def _share_wrong(ids: Tensor, target: Tensor) -> Tensor:
    """(B,) of the view's known pixels, from canvases (B, H, W) uint8."""
    ids, target = (x[:, MARGIN:-MARGIN, MARGIN:-MARGIN] for x in (ids, target))
    known = target != UNKNOWN
    return ((ids != target) & known).sum((1, 2)) / known.sum((1, 2)).clamp_min(1)


def _true_map(model: DrivingRSSM, batch: Batch, config: LossConfig) -> tuple[Tensor, Tensor]:
    """What the views of a window show together, as a map anchored at the last moment of the context."""
    # What was seen nearest in time counts where views overlap; the last view of the context is not even resampled.
    order = [*range(batch.context - 1, batch.ego.shape[1], config.compose_every)][::-1]
    shown = batch.known["map"] & batch.known["pose"]
    return model.memory.compose(batch.static[:, order], batch.pose[:, order], shown[:, order])


def _canvas_loss(logits: Tensor, known: Tensor, target: Tensor, config: LossConfig) -> Tensor:
    """Weighted cross-entropy (B,) of logits (B, H, W, classes) where `target` is known."""
    weights = torch.tensor((*CLASS_WEIGHTS, 0.0), device=logits.device)
    loss = F.cross_entropy(
        logits.float().flatten(0, 2), target.long().flatten().clamp_max(UNKNOWN - 1), reduction="none"
    ).view(target.shape)
    counts = weights[target.long()] * torch.where(known == UNKNOWN, 1.0, config.known_weight)
    return (loss * counts).mean((-1, -2))
