"""What a model predicts after its context without seeing any more, and what the baselines do."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
import torch

from learned_sim_env.evaluation import baselines
from learned_sim_env.evaluation.blobs import drifting_blobs
from learned_sim_env.imagination.noise import uniforms
from learned_sim_env.spec import Contract
from learned_sim_env.training.batches import Batch
from learned_sim_env.training.pictures import after_context
from learned_sim_env.world_model.protocol import WorldModel

# How views are predicted, and how the ego's motion is.
VIEW_METHODS = ("model", "last view", "moved view", "drifting blobs", "drifting boxes")
# The model, where it is told the ego's true motion, as all of those but the last view are.
TOLD = "model, true motion"
MOTION_METHODS = ("model", "constant motion")

T = TypeVar("T")


@torch.inference_mode()
def dream(
    model: WorldModel, batch: Batch, seeds: torch.Tensor | None, draw: bool, told: bool = False
) -> dict[str, torch.Tensor]:
    """What `decode` gives, and "view" if `draw`, for every step after the context: (B * k, T, ...) each, on the CPU.

    Args:
        model: on any device.
        batch: of B windows; the model sees their contexts, and then their actions only. Past the end of an episode the
            last action is held.
        seeds: (B * k,) int64 of the noise, for k futures of each window in turn; None for the mode alone.
        draw: also draw the view at every step.
        told: put the ego where it truly is after every step; only for a model that has `at`.

    Raises:
        ValueError: if the model predicts something that is not finite.
    """
    device = next(iter(model.initial(1).values())).device
    batch = batch.to(device)
    state = after_context(model, batch)
    if draw:
        _, state = model.draw(state, ("bev",))
    futures = 1 if seeds is None else len(seeds) // len(batch.actions)
    actions, poses = (x.repeat_interleave(futures, 0) for x in (batch.actions, batch.pose))
    state = {name: value.repeat_interleave(futures, 0) for name, value in state.items()}
    steps: list[dict[str, torch.Tensor]] = []
    for t in range(batch.context, actions.shape[1]):
        noise = None
        if seeds is not None:
            noise = uniforms(seeds, torch.full_like(seeds, t), model.noise_size).to(device)
        state = model.imagine(state, actions[:, t], noise)
        if told:
            state = model.at(state, poses[:, t])  # type: ignore[attr-defined]
        step = dict(model.decode(state))
        for name, value in step.items():
            if not torch.isfinite(value).all():
                raise ValueError(f"the model's {name!r} is not finite {t - batch.context + 1} steps after the context")
        if draw:
            drawn, state = model.draw(state, ("bev",))
            step["view"] = drawn["bev"]
        steps.append({name: value.cpu() for name, value in step.items()})
    return {name: torch.stack([step[name] for step in steps], 1) for name in steps[0]}


def views_by_method(
    imagined: np.ndarray, batch: Batch, velocities: np.ndarray, contract: Contract
) -> dict[str, np.ndarray]:
    """(B, T, H, W) uint8 class ids by method of `VIEW_METHODS`.

    imagined: the model's. velocities: of the movers, see `windows.WindowReader.mover_velocities`.
    """
    drawn = (
        imagined,
        baselines.copied(batch),
        baselines.moved(batch, contract.bev),
        drifting_blobs(batch, contract.bev, contract.dt),
        baselines.drifted(batch, velocities, contract.bev, contract.dt),
    )
    return dict(zip(VIEW_METHODS, drawn))


def join(parts: list[T]) -> T:
    """One of dataclasses of arrays, or of dicts of arrays, that holds the rows of all of them."""

    def joined(values: list) -> Any:
        if isinstance(values[0], dict):
            return {name: np.concatenate([value[name] for value in values]) for name in values[0]}
        return np.concatenate(values)

    kind: Any = type(parts[0])
    return kind(**{f.name: joined([getattr(part, f.name) for part in parts]) for f in fields(kind)})
