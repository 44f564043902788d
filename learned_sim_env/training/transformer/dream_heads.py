"""Heads of a finished model, trained on what it dreams: of reward, events, the place beside the route, and doubt.

With all the rest frozen, clips are dreamt once, and their features are used many times. Doubt is the expected error of
dreamt tokens, held against those of what truly happened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.training.alone import train_alone
from learned_sim_env.training.progress import Progress
from learned_sim_env.training.reductions import masked_mean
from learned_sim_env.training.transformer.clips import Clips
from learned_sim_env.training.transformer.head_loss import head_loss
from learned_sim_env.training.transformer.settings import TransformerSettings
from learned_sim_env.world_model.geometry import wrap
from learned_sim_env.world_model.transformer.ego import moved
from learned_sim_env.world_model.transformer.heads import DOUBT_FLOOR
from learned_sim_env.world_model.transformer.model import DrivingTransformer

# Clips of which a step learns.
CLIPS = 32


class DreamtClips(NamedTuple):
    """N dreamt clips of T moments: features (N, T, F) float16, offset (N, T, 2) of the truth from the place beside
    the route in the frame's condition, errors (N, T) of the tokens and signals (N, T, 2) of doubt, and what truly
    happened, without pictures.
    """

    features: Tensor
    offset: Tensor
    errors: Tensor
    signals: Tensor
    clips: Clips


@torch.no_grad()
def dream(model: DrivingTransformer, clips: Clips, context: int) -> DreamtClips:
    """The moments after the first `context` ones of clips, imagined with chance under the true actions."""
    seen, features, offsets, errors, signals = clips.observations, [], [], [], []
    truth = model.tokenizer.encode(seen)
    state = model.initial(len(clips.ego))
    for t in range(clips.ego.shape[1]):
        if t < context:
            moment = {**{name: value[:, t] for name, value in seen.items()}, "ego": clips.ego[:, t]}
            state = model.observe(state, clips.actions[:, t], moment)
            continue
        before = state["ego"][:, 4:]
        uniforms = torch.rand(len(before), model.noise_size, device=before.device)
        state = model.imagine(state, clips.actions[:, t], uniforms)
        distance, error = (clips.ego[:, t, 4:] - moved(before, state["motions"][:, -1])).unbind(-1)
        features.append(model.features(state).half())
        offsets.append(torch.stack([distance, wrap(error)], -1))
        signals.append(state["signals"])
        errors.append((state["tokens"][:, -1].float() - truth[:, t]).square().mean((1, 2)).sqrt())
    after = clips.without_observations().each(lambda x: x[:, context:])
    parts = [torch.stack(part, 1) for part in (features, offsets, errors, signals)]
    return DreamtClips(parts[0], parts[1], parts[2], parts[3], after)


def fit_heads(
    model: DrivingTransformer,
    clips_of: Callable[[int], Clips],
    settings: TransformerSettings,
    seed: int,
) -> dict[str, float]:
    """Train `model.heads` and `model.doubt` in place for `head_steps` steps on dreamt clips; chance follows from the
    seed.

    Returns:
        Rank correlations of the errors with the two signals of doubt and with the uncertainty that is made of them.
    """
    if not settings.head_steps:
        return {}
    dreams = []
    progress = Progress(0, settings.head_batches, name="dreams to learn from", unit="batch")
    for k in range(settings.head_batches):
        torch.manual_seed(seed * 1_000_003 + k)
        dreams.append(dream(model, clips_of(k), model.context_steps))
        progress.advance()
        progress.news(k + 1, {"error": float(dreams[-1].errors.mean())})
    progress.close()

    def loss(step: int) -> Tensor:
        chance = torch.Generator().manual_seed(seed * 1_000_003 + step)
        chosen = dreams[int(torch.randint(len(dreams), (), generator=chance))]
        count = len(chosen.offset)
        rows = torch.randint(count, (min(CLIPS, count),), generator=chance).to(chosen.offset.device)
        features, clips = chosen.features[rows].float(), chosen.clips.each(lambda x: x[rows])
        parts = head_loss(model, features, clips, chosen.offset[rows])
        made = (chosen.errors[rows] + DOUBT_FLOOR).log()
        doubted = model.doubt(features, chosen.signals[rows])
        doubt = masked_mean(F.smooth_l1_loss(doubted, made, reduction="none"), clips.valid)
        return sum(parts.values()) + doubt

    heads = nn.ModuleList([model.heads, model.doubt])
    train_alone(heads, loss, settings.head_steps, settings.head_learning_rate, "reward, events and doubt")
    return doubt_correlations(model, dreams)


@torch.no_grad()
def doubt_correlations(model: DrivingTransformer, dreams: list[DreamtClips]) -> dict[str, float]:
    """By name, how well the order of each signal, and of the uncertainty, is that of the errors (Spearman)."""
    valid = torch.cat([d.clips.valid for d in dreams])
    errors, signals = (torch.cat([getattr(d, name) for d in dreams])[valid] for name in ("errors", "signals"))
    features = torch.cat([d.features for d in dreams])[valid].float()
    found = {"spread": signals[:, 0], "cycle": signals[:, 1], "uncertainty": model.doubt.uncertainty(features, signals)}
    return {f"doubt_{name}": round(_rank_correlation(value, errors), 3) for name, value in found.items()}


def _rank_correlation(a: Tensor, b: Tensor) -> float:
    """0 where one of them is the same everywhere."""
    if len(a) < 2 or float(a.std()) == 0 or float(b.std()) == 0:
        return 0.0
    return float(torch.corrcoef(torch.stack([x.argsort().argsort().float() for x in (a, b)]))[0, 1])
