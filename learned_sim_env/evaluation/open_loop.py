"""What a model predicts after its context without seeing any more, and what the baselines do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from learned_sim_env.evaluation import baselines
from learned_sim_env.evaluation.blobs import drifting_blobs
from learned_sim_env.evaluation.windows import WindowReader
from learned_sim_env.imagination.noise import uniforms
from learned_sim_env.spec import Contract
from learned_sim_env.training.batches import Batch
from learned_sim_env.world_model.protocol import State, WorldModel, device_of, warmed_up

if TYPE_CHECKING:
    from learned_sim_env.data.packed import PackedData
    from learned_sim_env.world_model.checkpoint import Checkpoint

# What predicts: the model that is measured, and what it is compared with where the ego's motion is predicted.
MODEL, CONSTANT_MOTION = "model", "constant motion"
# And where views are.
VIEW_BASELINES = ("last view", "moved view", "drifting blobs", "drifting boxes")
# The model, where it is given the ego's true motion, as all of those but the last view are.
TRUE_MOTION = "model, true motion"

T = TypeVar("T")


def models_by_method(checkpoint: Checkpoint, beside: Sequence[Checkpoint] = ()) -> dict[str, WorldModel]:
    """`MODEL`, and the models of other checkpoints that are shown beside it, by their names.

    Raises:
        ValueError: if one was trained for another task, or two have the same name.
    """
    models: dict[str, WorldModel] = {MODEL: checkpoint.model}
    for other in beside:
        if other.contract.task_fingerprint() != checkpoint.contract.task_fingerprint():
            raise ValueError(f"{other.name} was trained for another task than {checkpoint.name}: they do not compare")
        if other.name in (*models, checkpoint.name, CONSTANT_MOTION, *VIEW_BASELINES, TRUE_MOTION):
            raise ValueError(f"{other.name!r} is the name of something else in the report: rename the folder")
        models[other.name] = other.model
    return models


def episodes_for(checkpoint: Checkpoint, data: PackedData, beside: Sequence[Checkpoint] = ()) -> PackedData:
    """The episodes in which all is known that the models observe, and where the ego was.

    Raises:
        ValueError: if the data was recorded under another contract, or there is no such episode.
    """
    data.check_contract(checkpoint.contract, checkpoint.model.observes)
    observed = dict.fromkeys(name for one in (checkpoint, *beside) for name in one.model.observes)
    return data.having((*observed, "pose"))


def context_of(models: Iterable[WorldModel]) -> int:
    """Real moments that all of them need before a dream."""
    return max(model.context_steps for model in models)


def window_reader(models: Iterable[WorldModel], data: PackedData, horizon: int, scenery: bool = False) -> WindowReader:
    """Of contexts that are long enough for all `models`, of all that they observe and, where recorded, may draw.

    scenery: also read what stands beside the road.

    Raises:
        ValueError: if the data lacks a modality that one of them observes.
    """
    models = list(models)
    drawn = dict.fromkeys(("bev", *(name for model in models for name in model.draws)))
    names = dict.fromkeys(name for model in models for name in model.observes)
    names |= {name: None for name in drawn if name in data.modalities}
    return WindowReader(data, horizon, models[0].contract.dt, names, context_of(models), scenery)


@torch.inference_mode()
def after_context(model: WorldModel, batch: Batch) -> State:
    """The state after the last `model.context_steps` real moments of the context, on the model's device.

    Raises:
        ValueError: if the batch has fewer of them.
    """
    known, last = batch.observations, slice(batch.context - model.context_steps, batch.context)
    if last.start < 0:
        raise ValueError(f"{type(model).__name__} needs {model.context_steps} real moments; {batch.context} are given")
    device = device_of(model)
    observations = {name: known[name][:, last].to(device) for name in model.observes}
    return warmed_up(model, observations, batch.actions[:, last].to(device))


@torch.inference_mode()
def drawn_now(model: WorldModel, batch: Batch, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """(B, *shape) by modality: what the model draws of the last moment of the context, on the CPU."""
    drawn, _ = model.draw(after_context(model, batch), names)
    return {name: value.cpu() for name, value in drawn.items()}


@torch.inference_mode()
def dream(
    model: WorldModel,
    batch: Batch,
    seeds: torch.Tensor | None,
    draw: Sequence[str] = (),
    true_motion: bool = False,
    start: State | None = None,
) -> dict[str, torch.Tensor]:
    """What `decode` gives, and the modalities `draw`, for every step after the context: (B * k, T, ...), on the CPU.

    Args:
        model: on any device.
        batch: of B windows; the model sees their contexts, and then their actions only. Past the end of an episode the
            last action is held.
        seeds: (B * k,) int64 of the noise, for k futures of each window in turn; None for the mode alone.
        draw: modalities, of those that the model draws.
        true_motion: put the ego where it truly is after every step; only for a `MovableEgo`.
        start: what `after_context` gives, if at hand: to see takes some models longer than to imagine.

    Raises:
        ValueError: if the model predicts something that is not finite.
    """
    device = device_of(model)
    state = after_context(model, batch) if start is None else start
    batch = batch.to(device)
    if draw:
        _, state = model.draw(state, draw)
    futures = 1 if seeds is None else len(seeds) // len(batch.actions)
    actions, poses = (x.repeat_interleave(futures, 0) for x in (batch.actions, batch.pose))
    state = {name: value.repeat_interleave(futures, 0) for name, value in state.items()}
    steps: list[dict[str, torch.Tensor]] = []
    for t in range(batch.context, actions.shape[1]):
        noise = None
        if seeds is not None:
            noise = uniforms(seeds, torch.full_like(seeds, t), model.noise_size).to(device)
        state = model.imagine(state, actions[:, t], noise)
        if true_motion:
            state = model.at(state, poses[:, t])  # type: ignore[attr-defined]
        step = dict(model.decode(state))
        for name, value in step.items():
            if not torch.isfinite(value).all():
                raise ValueError(f"the model's {name!r} is not finite {t - batch.context + 1} steps after the context")
        if draw:
            drawn, state = model.draw(state, draw)
            step.update(drawn)
        steps.append({name: value.cpu() for name, value in step.items()})
    return {name: torch.stack([step[name] for step in steps], 1) for name in steps[0]}


def baseline_views(batch: Batch, velocities: np.ndarray | None, contract: Contract) -> dict[str, np.ndarray]:
    """(B, T, H, W) uint8 class ids by method of `VIEW_BASELINES`, but for the last if there are no velocities.

    velocities: of the movers, see `windows.WindowReader.mover_velocities`.
    """
    drawn = [
        baselines.copied(batch),
        baselines.moved(batch, contract.bev),
        drifting_blobs(batch, contract.bev, contract.dt),
    ]
    if velocities is not None:
        drawn.append(baselines.drifted(batch, velocities, contract.bev, contract.dt))
    return dict(zip(VIEW_BASELINES, drawn))


def join(parts: list[T]) -> T:
    """One of dataclasses of arrays, of (nested) dicts of them, or of None, that holds the rows of all of them."""

    def joined(values: list) -> Any:
        if values[0] is None:
            return None
        if isinstance(values[0], dict):
            return {name: joined([value[name] for value in values]) for name in values[0]}
        return np.concatenate(values)

    kind: Any = type(parts[0])
    return kind(**{f.name: joined([getattr(part, f.name) for part in parts]) for f in fields(kind)})
