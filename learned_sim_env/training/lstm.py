"""Objective of the LSTM: reconstruct observations from a latent that the prior could have predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.task import UNCERTAIN_TERMS
from learned_sim_env.training.batches import Batch
from learned_sim_env.training.objective import WindowObjective
from learned_sim_env.training.reductions import balanced_kl, huber, masked_mean
from learned_sim_env.world_model.lstm import DrivingLSTM


@dataclass(frozen=True)
class LSTMSettings:
    """Settings of an LSTM's run beside `TrainConfig`: weights of the parts of its loss."""

    kl: float = 0.003
    """Of the latent. Reconstructions are averaged over pixels, not summed: a little goes a long way."""
    kl_dynamics: float = 1.0
    """Share of the KL that teaches the prior."""
    kl_representation: float = 0.1
    """Share that keeps the posterior near it."""
    reconstruction: float = 5.0
    """Of what is drawn."""
    numbers: float = 1.0
    """Of ego vector and motion."""
    terms: float = 1.0
    """Of the reward terms."""
    events: float = 1.0
    """Of collisions and other events."""
    doubt: float = 0.1
    """Of how surprising the next observation will be."""
    drawn_moments: int = 8
    """Moments of each window that are reconstructed."""


class LSTMObjective(WindowObjective):
    """See `training.objective.Objective`."""

    settings_class = LSTMSettings
    amounts: ClassVar[tuple[str, ...]] = ("steps", "warmup")
    progress: ClassVar[tuple[str, ...]] = ("reconstruction", "kl")

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """See `window_loss`."""
        return window_loss(self.model, batch, self.settings)


def window_loss(model: DrivingLSTM, batch: Batch, settings: LSTMSettings) -> tuple[Tensor, dict[str, Tensor]]:
    """Total loss and its parts: every moment of the windows is observed, and the latent sampled (DreamerV2's)."""
    (b, moments), seen = batch.valid.shape, batch.observations
    # Of moments with a missing input nothing is learned.
    valid = batch.imaginable
    for name in model.observes:
        valid = valid & batch.known[name]
    embeddings = model.embed({name: seen[name].flatten(0, 1) for name in model.observes}).unflatten(0, (b, moments))
    state, features, kls, doubts = model.initial(b), [], [], []
    for t in range(moments):
        noise = torch.rand(b, model.noise_size, device=valid.device)
        state, prior, posterior = model.observe_with_beliefs(state, batch.actions[:, t], embeddings[:, t], noise)
        dynamics, representation = balanced_kl(prior, posterior)
        kls.append(settings.kl_dynamics * dynamics + settings.kl_representation * representation)
        doubts.append(huber((state["surprise"] - dynamics.detach())[:, None]))
        features.append(model.features(state))
    known = torch.stack(features, 1)
    numbers, terms, events = model.predict(known)
    true = torch.cat([batch.ego[..., [0, 1, 4, 5]], batch.motion], -1) / model.scale
    judged, moved, happened = (batch.known[name] & valid & batch.stepped for name in ("reward", "motion", "events"))
    parts = {
        "kl": masked_mean(torch.stack(kls, 1), valid),
        "reconstruction": _reconstruction(model, batch, valid, known, settings.drawn_moments),
        "numbers": masked_mean(huber(numbers - true), moved),
        "terms": masked_mean(huber(terms - batch.terms[..., : len(UNCERTAIN_TERMS)]), judged),
        "events": masked_mean(
            F.binary_cross_entropy_with_logits(events, batch.events.float(), reduction="none").sum(-1), happened
        ),
        "doubt": masked_mean(torch.stack(doubts, 1), valid),
    }
    total = sum((value * getattr(settings, name) for name, value in parts.items()), torch.zeros(()))
    return total, {name: value.detach() for name, value in parts.items()}


def _reconstruction(model: DrivingLSTM, batch: Batch, valid: Tensor, features: Tensor, count: int) -> Tensor:
    """Cross-entropy of classes, squared error of all else, at `count` moments, summed over what is drawn."""
    some, seen = torch.randperm(features.shape[1])[:count], batch.observations
    loss = features.new_zeros(())
    for name in model.draws:
        found = model.reconstruct(name, features[:, some].flatten(0, 1))
        true = seen[name][:, some].flatten(0, 1)
        if model.contract.modality(name).kind == "classes":
            error = F.cross_entropy(found.movedim(-1, 1), true.long(), reduction="none")
        else:
            error = (found - model.as_counted(name, true)).square()
        loss = loss + masked_mean(error.flatten(1).mean(-1), (batch.known[name] & valid)[:, some].flatten())
    return loss
