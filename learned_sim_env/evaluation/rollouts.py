"""The model's open-loop future of every window, reduced to what the metrics need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from learned_sim_env.evaluation import baselines
from learned_sim_env.evaluation.open_loop import TOLD, dream, views_by_method
from learned_sim_env.evaluation.windows import WindowReader, Windows
from learned_sim_env.measures.iou import confusion
from learned_sim_env.measures.reward import foreseen_reward
from learned_sim_env.world_model.geometry import integrate
from learned_sim_env.world_model.protocol import MovableEgo, WorldModel


@dataclass(frozen=True, eq=False)
class Rollouts:
    """What was predicted and what happened, over N windows and T steps after their contexts.

    episode: (N,) int64, as in `Windows`. valid: (N, T) bool. pose: (N, T, 3) by method and true_pose: (N, T, 3), in the
    frame of the ego at the end of the context.
    speed: (N, T) by method, true_speed: (N, T). terms, true_terms: (N, T, 4). events: (N, T, 4) probabilities,
    true_events: (N, T, 4) bool. views: (N, T, 9, 9) by method (`VIEW_METHODS`, and `TOLD` where the model can be told),
    see `iou.confusion`; empty if nothing was drawn.
    """

    episode: np.ndarray
    valid: np.ndarray
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
    model: WorldModel, reader: WindowReader, windows: Windows, batch_size: int, samples: int, draw: bool
) -> Iterator[Rollouts]:
    """Rollouts of all windows, `batch_size` at a time, under the recorded actions; past the end of an episode, the last
    one is held.

    samples: futures that are drawn of each window, every one counting as a window of its own; 0 takes the mode.
    draw: also compare the views, drawn at every step.

    Raises:
        ValueError: if the model predicts something that is not finite.
    """
    windows = windows.repeat(max(samples, 1))
    for first in range(0, len(windows), batch_size):
        some = windows[first : first + batch_size]
        batch = reader.read(some)
        seeds = torch.arange(first, first + len(some)) if samples else None
        predicted = dream(model, batch, seeds, draw)
        c = batch.context
        valid, true_speed = batch.valid[:, c:].numpy(), batch.ego[:, c:, 0].numpy()
        pose = {"model": integrate(predicted["motion"]), "constant motion": baselines.constant_motion(batch)}
        views = {}
        if draw:
            drawn = views_by_method(predicted["view"].numpy(), batch, reader.mover_velocities(some), model.contract)
            if isinstance(model, MovableEgo):
                drawn[TOLD] = dream(model, batch, seeds, draw, told=True)["view"].numpy()
            truth = batch.semantic[:, c:].numpy()
            views = {name: confusion(view, truth, valid) for name, view in drawn.items()}
        yield Rollouts(
            episode=some.episode,
            valid=valid,
            pose={name: value.numpy() for name, value in pose.items()},
            true_pose=batch.pose[:, c:].numpy(),
            speed={
                "model": predicted["ego"][..., 0].numpy(),
                "constant motion": np.broadcast_to(batch.ego[:, c - 1, :1].numpy(), true_speed.shape),
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
    depends on its index alone. Arguments as of `roll_out`; `progress` is told how many windows were done.

    Raises:
        ValueError: if the model predicts something that is not finite.
    """
    found = []
    for first in range(0, len(windows), batch_size):
        some = windows[first : first + batch_size]
        seeds = torch.arange(first * samples, (first + len(some)) * samples)
        drawn = dream(model, reader.read(some), seeds, draw=False)
        reward = foreseen_reward(drawn["terms"].numpy(), drawn["events"].numpy(), model.contract.reward)
        found.append(reward.reshape(len(some), samples, -1).mean(1))
        progress(len(some))
    return np.concatenate(found)
