"""What heads are trained for: reward terms, events and the place beside the route, of recorded moments."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.task import UNCERTAIN_TERMS
from learned_sim_env.training.reductions import huber, masked_mean
from learned_sim_env.training.transformer.clips import Clips
from learned_sim_env.world_model.geometry import wrap
from learned_sim_env.world_model.layers import two_hot
from learned_sim_env.world_model.transformer.dynamics import Condition
from learned_sim_env.world_model.transformer.ego import moved, numbers
from learned_sim_env.world_model.transformer.heads import CORRECTION
from learned_sim_env.world_model.transformer.model import DrivingTransformer

# Share of moments that are conditioned on a place beside the route as in a dream: as it follows from the one before,
# which is wrong by about so much [m, rad].
FOLLOWED, WRONG = 0.5, (0.3, 0.05)
# Events are rare, and an episode ends by them.
EVENTS = 8.0


def training_condition(clips: Clips) -> tuple[Condition, Tensor]:
    """The condition of the clips in training, and the offset (B, T, 2) of the truth from its place beside the route."""
    true = clips.ego[..., 4:]
    wrong = torch.randn_like(true) * true.new_tensor(WRONG)
    before = torch.cat([true[:, :1], true[:, :-1]], 1) + wrong
    follows = torch.rand(true.shape[:2], device=true.device) < FOLLOWED
    # Before the first moment of a clip nothing is known.
    follows = follows & (torch.arange(true.shape[1], device=true.device) > 0)
    beside = torch.where(follows[..., None], moved(before, clips.motion), true)
    offset = torch.stack([true[..., 0] - beside[..., 0], wrap(true[..., 1] - beside[..., 1])], -1)
    ego = numbers(torch.cat([clips.ego[..., :4], beside], -1), clips.motion)
    return Condition(clips.actions, clips.known["actions"], ego, clips.known["ego"]), offset


def clip_features(model: DrivingTransformer, agents: Tensor, clips: Clips, condition: Condition) -> Tensor:
    """(B, T, latent_size): `DrivingTransformer.features` of moments whose agent tokens are (B, T, agents, width)."""
    motions, actions = (_last_two(x) for x in (clips.motion, clips.actions))
    facts = model.facts(torch.cat([condition.action, condition.ego], -1), motions, actions)
    return torch.cat([agents.flatten(2), facts], -1)


def head_loss(model: DrivingTransformer, features: Tensor, clips: Clips, offset: Tensor) -> dict[str, Tensor]:
    """The parts of the loss.

    features: (B, T, latent_size). offset: (B, T, 2), see `training_condition`.
    """
    outcomes = model.heads(features)
    terms = events = torch.zeros((), device=features.device)
    for k in range(model.heads.ahead):
        # Moment t predicts moment t + k.
        here, there = slice(0, features.shape[1] - k), slice(k, None)
        rewarded, seen = (clips.valid[:, there] & clips.known[name][:, there] for name in ("reward", "events"))
        true = two_hot(clips.terms[:, there, : len(UNCERTAIN_TERMS)], model.heads.bins)
        term = -(true * outcomes.terms[:, here, k].log_softmax(-1)).sum((-1, -2))
        event = F.binary_cross_entropy_with_logits(
            outcomes.events[:, here, k], clips.events[:, there].float(), reduction="none"
        ).sum(-1)
        terms = terms + masked_mean(term, rewarded) / model.heads.ahead
        events = events + EVENTS * masked_mean(event, seen) / model.heads.ahead
    error = (outcomes.correction - offset) / offset.new_tensor(CORRECTION)
    return {"terms": terms, "events": events, "correction": masked_mean(huber(error), clips.valid & clips.known["ego"])}


def _last_two(x: Tensor) -> Tensor:
    """(B, T, 2, size): of (B, T, size) each and the one before it; the first stands for the one before as well."""
    return torch.stack([torch.cat([x[:, :1], x[:, :-1]], 1), x], 2)
