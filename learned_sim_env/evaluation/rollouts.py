"""The model's open-loop future of every window, reduced to what the metrics need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from learned_sim_env.evaluation import baselines
from learned_sim_env.evaluation.measures.iou import confusion
from learned_sim_env.evaluation.windows import WindowReader, Windows
from learned_sim_env.imagination.noise import uniforms
from learned_sim_env.training.batches import Batch
from learned_sim_env.training.pictures import after_context
from learned_sim_env.world_model.geometry import integrate
from learned_sim_env.world_model.protocol import WorldModel

# How views are predicted, and how the ego's motion is.
VIEW_METHODS = ("model", "last view", "moved view", "drifting boxes")
MOTION_METHODS = ("model", "constant motion")


@dataclass(frozen=True, eq=False)
class Rollouts:
    """What was predicted and what happened, over N windows and T steps after their contexts.

    episode: (N,) int64, as in `Windows`. valid: (N, T) bool. pose: (N, T, 3) by method and true_pose: (N, T, 3), in the
    frame of the ego at the end of the context.
    speed: (N, T) by method, true_speed: (N, T). terms, true_terms: (N, T, 4). events: (N, T, 4) probabilities,
    true_events: (N, T, 4) bool. views: (N, T, 9, 9) by method, see `iou.confusion`; empty if nothing was drawn.
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

    @staticmethod
    def join(parts: list[Rollouts]) -> Rollouts:
        """Those of all windows in one."""

        def joined(values: list) -> Any:
            if isinstance(values[0], dict):
                return {name: np.concatenate([value[name] for value in values]) for name in values[0]}
            return np.concatenate(values)

        return Rollouts(**{f.name: joined([getattr(part, f.name) for part in parts]) for f in fields(Rollouts)})


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
        predicted = _imagine(model, batch, seeds, draw)
        c = batch.context
        valid, true_speed = batch.valid[:, c:].numpy(), batch.ego[:, c:, 0].numpy()
        pose = {"model": integrate(predicted["motion"]), "constant motion": baselines.constant_motion(batch)}
        views = {}
        if draw:
            bev, dt = model.contract.bev, model.contract.dt
            drawn = (
                predicted["view"].numpy(),
                baselines.copied(batch),
                baselines.moved(batch, bev),
                baselines.drifted(batch, reader.mover_velocities(some), bev, dt),
            )
            truth = batch.semantic[:, c:].numpy()
            views = {name: confusion(view, truth, valid) for name, view in zip(VIEW_METHODS, drawn)}
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


@torch.inference_mode()
def _imagine(model: WorldModel, batch: Batch, seeds: torch.Tensor | None, draw: bool) -> dict[str, torch.Tensor]:
    """What `decode` gives, and "view" if `draw`, for every step after the context: (B, T, ...) each, on the CPU."""
    device = next(iter(model.initial(1).values())).device
    batch = batch.to(device)
    state = after_context(model, batch)
    if draw:
        _, state = model.draw(state)
    steps: list[dict[str, torch.Tensor]] = []
    for t in range(batch.context, batch.actions.shape[1]):
        noise = None
        if seeds is not None:
            noise = uniforms(seeds, torch.full_like(seeds, t), model.noise_size).to(device)
        state = model.imagine(state, batch.actions[:, t], noise)
        step = dict(model.decode(state))
        for name, value in step.items():
            if not torch.isfinite(value).all():
                raise ValueError(f"the model's {name!r} is not finite {t - batch.context + 1} steps after the context")
        if draw:
            step["view"], state = model.draw(state)
        steps.append({name: value.cpu() for name, value in step.items()})
    return {name: torch.stack([step[name] for step in steps], 1) for name in steps[0]}
