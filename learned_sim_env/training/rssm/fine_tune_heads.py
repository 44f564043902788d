"""Heads of reward, events and doubt, trained anew on what the finished model imagines.

Whatever was trained last has changed what it imagines, and so what follows from it. With all the rest frozen, a window
is imagined once, and its features are used many times.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from learned_sim_env.spec import NUM_STATIC_CLASSES
from learned_sim_env.task import UNCERTAIN_TERMS
from learned_sim_env.training.alone import train_alone
from learned_sim_env.training.batches import Batch, WindowSampler
from learned_sim_env.training.pictures import after_context
from learned_sim_env.training.reductions import masked_mean
from learned_sim_env.training.rssm.driven_dreams import driven_on, unit
from learned_sim_env.training.rssm.settings import RSSMSettings
from learned_sim_env.world_model.rssm.heads import DOUBTS, OutcomeHeads
from learned_sim_env.world_model.rssm.model import DrivingRSSM

# Windows that are imagined at a time; moments of each that are drawn, to see how much of the view is wrong; moments of
# which a step learns, and, where there are dreams that were driven on, as many of those.
WINDOWS, DRAWN, MOMENTS, LATER = 64, 6, 1024, 256


class Lessons(NamedTuple):
    """N imagined moments: features (N, F) float16, what truly happened, terms (N, 3), NaN where that is not known, and
    events (N, 4) bool, and the errors (N, 2) that were made, NaN where the view was not drawn or the truth is not
    known, see `heads.DOUBTS`.
    """

    features: Tensor
    terms: Tensor
    events: Tensor
    errors: Tensor


def fine_tune_heads(
    model: DrivingRSSM, windows: WindowSampler, settings: RSSMSettings, seed: int, folder: Path | None = None
) -> None:
    """Train `model.heads` for `head_steps` more steps, in place, on futures of `head_windows` windows and, of a model
    with pieces of road, on `head_drives` dreams that are driven on.

    The logits of events are held to what they were: events are rare, and what was learned of them in many more windows
    would be lost.

    folder: see `train_alone`.
    """
    if not settings.head_steps:
        return
    count, device = -(-settings.head_windows // WINDOWS), next(model.parameters()).device
    parts = [
        imagined(model, windows.sample(WINDOWS, seed + 1, k).to(device), seed * 1_000_003 + k)
        for k in tqdm(range(count), desc="what follows", unit="batch", disable=None)
    ]
    lessons = Lessons(*map(torch.cat, zip(*parts)))
    if not len(lessons.features):
        return  # Neither reward nor events were recorded: there is nothing to learn.
    now = len(lessons.features)
    # Without errors that are known there is no unit for others.
    known = not lessons.errors[:, 1].isnan().all()
    if model.roads is not None and settings.head_drives and known:
        lessons = Lessons(*map(torch.cat, zip(lessons, _later(model, windows, lessons, settings.head_drives, seed))))
    later = len(lessons.features) - now
    with torch.no_grad():
        before = torch.cat([model.heads(some.float())[1] for some in lessons.features.split(MOMENTS)])

    def loss(step: int) -> Tensor:
        chance = torch.Generator().manual_seed(seed * 1_000_003 + step)
        some = torch.randint(now, (MOMENTS,), generator=chance)
        if later:
            some = torch.cat([some, now + torch.randint(later, (LATER,), generator=chance)])
        some = some.to(device)
        chosen = Lessons(*(x[some] for x in lessons))
        _, logits, _ = model.heads(chosen.features.float())
        return head_loss(model.heads, chosen) + (logits - before[some]).square().mean()

    name = "reward, events and doubt"
    train_alone(model.heads, loss, settings.head_steps, settings.head_learning_rate, name, folder)


def head_loss(heads: OutcomeHeads, lessons: Lessons) -> Tensor:
    """The mean loss of all heads."""
    happened, known = ~lessons.terms.isnan().any(-1), ~lessons.errors.isnan()
    terms, events, doubt = heads.loss(
        lessons.features.float(), lessons.terms.nan_to_num(), lessons.events, lessons.errors
    )
    doubts = sum(map(masked_mean, doubt.unbind(-1), known.unbind(-1)))
    return masked_mean(terms, happened) + masked_mean(events, happened) + doubts


def _later(model: DrivingRSSM, windows: WindowSampler, lessons: Lessons, drives: int, seed: int) -> Lessons:
    """Moments of dreams that are driven on, of which nothing is known but how implausible their views are."""
    found, real, device = [], [], lessons.features.device
    for k in tqdm(range(-(-drives // WINDOWS)), desc="driving on", unit="batch", disable=None):
        batch = windows.sample(min(WINDOWS, drives), seed + 2, k)
        real.append(batch.observations["bev"][batch.valid & batch.known["bev"]])
        found.append(driven_on(model, batch.to(device), seed * 1_000_003 + k))
    features, shares = map(torch.cat, zip(*found))
    errors = torch.full((len(shares), len(DOUBTS)), torch.nan, device=device)
    errors[:, 1] = shares * unit(lessons.errors[:, 1], torch.cat(real).numpy())
    terms = errors.new_full((len(shares), lessons.terms.shape[1]), torch.nan)
    return Lessons(features, terms, lessons.events.new_zeros(len(shares), lessons.events.shape[1]), errors)


@torch.no_grad()
def imagined(model: DrivingRSSM, batch: Batch, seed: int) -> Lessons:
    """The moments that follow the contexts of `batch`, imagined with chance, where reward and events are known."""
    c, device = batch.context, batch.ego.device
    training = model.training
    torch.manual_seed(seed)
    model.eval()
    _, state = model.draw(after_context(model, batch), ("bev",))
    moments = set((torch.randperm(batch.actions.shape[1] - c)[:DRAWN] + c).tolist())
    features, errors = [], []
    for t in range(c, batch.actions.shape[1]):
        # As in training: the likeliest motion of other agents, and no births.
        model.train()
        state = model.imagine(state, batch.actions[:, t], torch.rand(len(batch.ego), model.noise_size, device=device))
        model.eval()
        features.append(model.features(state).half())
        error = torch.full((len(batch.ego), len(DOUBTS)), torch.nan, device=device)
        off = (state["pose"] - batch.pose[:, t])[:, :2].norm(dim=-1)
        error[:, 0] = torch.where(batch.known["pose"][:, t], off, torch.nan)
        if t in moments:
            pictures, state = model.draw(state, ("bev",))
            view = pictures["bev"]
            shown = (view < NUM_STATIC_CLASSES) & (batch.static[:, t] < NUM_STATIC_CLASSES)
            wrong = (view != batch.static[:, t]) & shown
            share = wrong.flatten(1).sum(1) / shown.flatten(1).sum(1).clamp_min(1)
            error[:, 1] = torch.where(batch.known["map"][:, t], share, torch.nan)
        errors.append(error)
    model.train(training)
    valid = (batch.imaginable & batch.known["reward"] & batch.known["events"])[:, c:]
    found = torch.stack(features, 1), batch.terms[:, c:, : len(UNCERTAIN_TERMS)], batch.events[:, c:]
    return Lessons(*(x[valid] for x in (*found, torch.stack(errors, 1))))
