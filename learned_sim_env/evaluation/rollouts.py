"""The model's open-loop future of every window, reduced to what the metrics need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from learned_sim_env.evaluation import baselines
from learned_sim_env.evaluation.open_loop import (
    CONSTANT_MOTION,
    MODEL,
    TRUE_MOTION,
    after_context,
    baseline_views,
    dream,
)
from learned_sim_env.evaluation.windows import WindowReader, Windows
from learned_sim_env.measures.iou import confusion
from learned_sim_env.measures.reward import foreseen_reward
from learned_sim_env.world_model.geometry import integrate
from learned_sim_env.world_model.protocol import MovableEgo, WorldModel


@dataclass(frozen=True, eq=False)
class Rollouts:
    """What was predicted and what happened, over N windows and T steps after their contexts.

    episode: (N,) int64, as in `Windows`. valid: (N, T) bool; rewarded, watched: those of them of which the reward, or
    events, are known. pose: (N, T, 3) by method and true_pose: (N, T, 3), in the frame of the ego at the end of the
    context.
    speed: (N, T) by method, true_speed: (N, T). terms, true_terms: (N, T, 4). events: (N, T, 4) probabilities,
    true_events: (N, T, 4) bool. views: (N, T, 9, 9) by method, see `iou.confusion`, with `TRUE_MOTION` where the
    model can be given the motion; empty if nothing was drawn.
    """

    episode: np.ndarray
    valid: np.ndarray
    rewarded: np.ndarray
    watched: np.ndarray
    pose: dict[str, np.ndarray]
    true_pose: np.ndarray
    speed: dict[str, np.ndarray]
    true_speed: np.ndarray
    terms: np.ndarray
    true_terms: np.ndarray
    events: np.ndarray
    true_events: np.ndarray
    views: dict[str, np.ndarray]


def roll_out(
    models: Mapping[str, WorldModel], reader: WindowReader, windows: Windows, batch_size: int, samples: int, draw: bool
) -> Iterator[Rollouts]:
    """Rollouts of all windows, `batch_size` at a time, under the recorded actions; past the end of an episode, the last
    one is held.

    models: see `open_loop.models_by_method`; reward and events are those of the first.
    samples: futures that are drawn of each window, every one counting as a window of its own; 0 takes the mode.
    draw: also compare the views from above, drawn at every step, of the models that draw them.

    Raises:
        ValueError: if the model predicts something that is not finite.
    """
    windows, model = windows.repeat(max(samples, 1)), models[MODEL]
    for first in range(0, len(windows), batch_size):
        some = windows[first : first + batch_size]
        batch = reader.read(some)
        seeds = torch.arange(first, first + len(some)) if samples else None
        views_known = draw and "bev" in batch.observations
        drawing = {name: ("bev",) if views_known and "bev" in m.draws else () for name, m in models.items()}
        start = after_context(model, batch)
        starts = {name: start if m is model else None for name, m in models.items()}
        dreamt = {name: dream(m, batch, seeds, drawing[name], start=starts[name]) for name, m in models.items()}
        predicted, c = dreamt[MODEL], batch.context
        valid, true_speed = batch.imaginable[:, c:].numpy(), batch.ego[:, c:, 0].numpy()
        known = {name: mask[:, c:].numpy() for name, mask in batch.known.items()}
        pose = {name: integrate(d["motion"]) for name, d in dreamt.items()}
        pose[CONSTANT_MOTION] = baselines.constant_motion(batch)
        views = {}
        if any(drawing.values()):
            drawn = {name: dreamt[name]["bev"].numpy() for name, names in drawing.items() if names}
            drawn |= baseline_views(batch, reader.mover_velocities(some), model.contract)
            if drawing[MODEL] and isinstance(model, MovableEgo):
                drawn[TRUE_MOTION] = dream(model, batch, seeds, ("bev",), True, start)["bev"].numpy()
            truth = batch.observations["bev"][:, c:].numpy()
            views = {name: confusion(view, truth, valid & known["bev"]) for name, view in drawn.items()}
        yield Rollouts(
            episode=some.episode,
            valid=valid,
            rewarded=valid & known["reward"] & known["events"],
            watched=valid & known["events"],
            pose={name: value.numpy() for name, value in pose.items()},
            true_pose=batch.pose[:, c:].numpy(),
            speed={
                **{name: d["ego"][..., 0].numpy() for name, d in dreamt.items()},
                CONSTANT_MOTION: np.broadcast_to(batch.ego[:, c - 1, :1].numpy(), true_speed.shape),
            },
            true_speed=true_speed,
            terms=predicted["terms"].numpy(),
            true_terms=batch.terms[:, c:].numpy(),
            events=predicted["events"].numpy(),
            true_events=batch.events[:, c:].numpy(),
            views=views,
        )


def mean_reward(
    model: WorldModel,
    reader: WindowReader,
    windows: Windows,
    batch_size: int,
    samples: int,
    progress: Callable[[int], object],
) -> np.ndarray:
    """(N, T) reward of windows: the mean of `samples` futures of each with different noise.

    Where the future is open this, not the reward of the likeliest one, is what is to be expected. The noise of a window
    depends on its index alone. Arguments as of `roll_out`; `progress` is called with how many more windows
    are done.

    Raises:
        ValueError: if the model predicts something that is not finite.
    """
    found = []
    for first in range(0, len(windows), batch_size):
        some = windows[first : first + batch_size]
        seeds = torch.arange(first * samples, (first + len(some)) * samples)
        drawn = dream(model, reader.read(some), seeds)
        reward = foreseen_reward(drawn["terms"].numpy(), drawn["events"].numpy(), model.contract.reward)
        found.append(reward.reshape(len(some), samples, -1).mean(1))
        progress(len(some))
    return np.concatenate(found)
