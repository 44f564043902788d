"""Heads of a finished model, trained on what it dreams: of reward, events, the place beside the route, and doubt.

With all the rest frozen, clips are dreamt once, and their features are used many times; a fifth of them is not learned
from, and says when to stop. Doubt is the expected error of dreamt tokens, held against those of what truly happened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

# Clips of which a step learns; of how many dreamt ones one is held out.
CLIPS, HELD_OUT = 32, 5


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

    @staticmethod
    def together(several: Sequence[DreamtClips]) -> DreamtClips:
        """All clips of several dreams."""
        *parts, clips = zip(*several)
        return DreamtClips._make([*map(torch.cat, parts), Clips.together(clips)])

    def rows(self, which: Tensor | slice) -> DreamtClips:
        """Some of the clips."""
        *parts, clips = self
        return DreamtClips._make([*(part[which] for part in parts), clips.each(lambda x: x[which])])


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
        Rank correlations of the errors with the two signals of doubt and with the uncertainty that is made of them, in
        clips that were not learned from.

    Raises:
        ValueError: for less than two clips.
    """
    if not settings.head_steps:
        return {}
    if settings.head_batches * settings.head_batch < 2:
        raise ValueError(
            f"head_batches {settings.head_batches} of head_batch {settings.head_batch} clips are too few: heads learn "
            "from some and are judged by others; give two clips or more"
        )
    dreams = []
    progress = Progress(0, settings.head_batches, name="dreams to learn from", unit="batch")
    for k in range(settings.head_batches):
        torch.manual_seed(seed * 1_000_003 + k)
        dreams.append(dream(model, clips_of(k), model.context_steps))
        progress.advance()
        progress.news(k + 1, {"error": float(dreams[-1].errors.mean())})
    progress.close()

    every = DreamtClips.together(dreams)
    clips = len(every.offset)
    # The last ones, of batches of their own if there are several.
    count = clips - max(clips // HELD_OUT, 1)
    learned, held = every.rows(slice(0, count)), every.rows(slice(count, clips))

    def loss(step: int) -> Tensor:
        chance = torch.Generator().manual_seed(seed * 1_000_003 + step)
        some = torch.randint(count, (min(CLIPS, count),), generator=chance)
        return _loss(model, learned.rows(some.to(every.offset.device)))

    def check() -> float:
        return float(_loss(model, held))

    heads, name = nn.ModuleList([model.heads, model.doubt]), "reward, events and doubt"
    train_alone(heads, loss, settings.head_steps, settings.head_learning_rate, name, check=check)
    return doubt_correlations(model, held)


def _loss(model: DrivingTransformer, dreamt: DreamtClips) -> Tensor:
    """How far heads and doubt are from what truly happened."""
    features, valid = dreamt.features.float(), dreamt.clips.valid
    parts = head_loss(model, features, dreamt.clips, dreamt.offset)
    made, doubted = (dreamt.errors + DOUBT_FLOOR).log(), model.doubt(features, dreamt.signals)
    doubt = masked_mean(F.smooth_l1_loss(doubted, made, reduction="none"), valid)
    return sum(parts.values()) + doubt


@torch.no_grad()
def doubt_correlations(model: DrivingTransformer, dreamt: DreamtClips) -> dict[str, float]:
    """By name, how well the order of each signal, and of the uncertainty, is that of the errors (Spearman)."""
    valid = dreamt.clips.valid
    errors, signals, features = dreamt.errors[valid], dreamt.signals[valid], dreamt.features[valid].float()
    found = {"spread": signals[:, 0], "cycle": signals[:, 1], "uncertainty": model.doubt.uncertainty(features, signals)}
    return {f"doubt_{name}": round(_rank_correlation(value, errors), 3) for name, value in found.items()}


def _rank_correlation(a: Tensor, b: Tensor) -> float:
    """0 where one of them is the same everywhere."""
    if len(a) < 2 or float(a.std()) == 0 or float(b.std()) == 0:
        return 0.0
    return float(torch.corrcoef(torch.stack([x.argsort().argsort().float() for x in (a, b)]))[0, 1])
