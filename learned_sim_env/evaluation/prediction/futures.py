"""Open-loop futures of many windows, reduced as they are rolled out to what the measures of prediction need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from learned_sim_env.evaluation import baselines
from learned_sim_env.evaluation.measures.frechet import clip_features, motion_features
from learned_sim_env.evaluation.measures.image_error import ssim
from learned_sim_env.evaluation.measures.iou import confusion
from learned_sim_env.evaluation.prediction.straight_on import blocked
from learned_sim_env.evaluation.rollouts import VIEW_METHODS
from learned_sim_env.evaluation.windows import WindowReader, Windows
from learned_sim_env.imagination.noise import uniforms
from learned_sim_env.spec import SemanticClass
from learned_sim_env.training.batches import Batch
from learned_sim_env.training.pictures import after_context
from learned_sim_env.world_model.contexts import CONTEXT_STEPS
from learned_sim_env.world_model.geometry import integrate
from learned_sim_env.world_model.protocol import WorldModel

# Steps after the context at which structural similarity is computed; everything else is known at every step.
SSIM_STEPS = (1, 5, 10, 15, 20, 30, 40, 50, 64)


@dataclass(frozen=True, eq=False)
class Futures:
    """What was predicted and what happened, over N windows and T steps after their contexts.

    episode: (N,) int64, as in `Windows`. tags: (N, 7) bool, `spec.SCENARIO_TAGS` at the end of the context.
    valid: (N, T) bool. pose: (N, T, 3) by method of `MOTION_METHODS`, and true_pose: (N, T, 3) [m, m, rad], in the
    frame of the ego at the end of the context. speed [m/s], yaw_rate [rad/s]: (N, T) by method, and true ones.
    events: (N, T, 4) probabilities, true_events: (N, T, 4) bool. blocked: (N, T) bool, see `straight_on.blocked`.
    The rest is empty if nothing was drawn. views: (N, T, 9, 9) uint16 by method of `VIEW_METHODS`, see
    `iou.confusion`. similarity: (N, number of `SSIM_STEPS` up to T) float32 by method. looks, motions: features of
    clips, (N, F) float32, by method and "true", see `frechet`.
    """

    episode: np.ndarray
    tags: np.ndarray
    valid: np.ndarray
    pose: dict[str, np.ndarray]
    true_pose: np.ndarray
    speed: dict[str, np.ndarray]
    true_speed: np.ndarray
    yaw_rate: dict[str, np.ndarray]
    true_yaw_rate: np.ndarray
    events: np.ndarray
    true_events: np.ndarray
    blocked: np.ndarray
    views: dict[str, np.ndarray]
    similarity: dict[str, np.ndarray]
    looks: dict[str, np.ndarray]
    motions: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.episode)

    @staticmethod
    def join(parts: list[Futures]) -> Futures:
        """Those of all windows in one."""

        def joined(values: list) -> Any:
            if isinstance(values[0], dict):
                return {name: np.concatenate([value[name] for value in values]) for name in values[0]}
            return np.concatenate(values)

        return Futures(**{f.name: joined([getattr(part, f.name) for part in parts]) for f in fields(Futures)})


def follow(
    model: WorldModel, reader: WindowReader, windows: Windows, batch_size: int, draw: bool = True
) -> Iterator[Futures]:
    """The mode's futures of all windows, `batch_size` at a time, under the recorded actions; `dream` says more.

    Raises:
        ValueError: if the model predicts something that is not finite.
    """
    for first in range(0, len(windows), batch_size):
        some = windows[first : first + batch_size]
        batch = reader.read(some)
        c = batch.context
        predicted = dream(model, batch, None, draw)
        ego = batch.ego.numpy()
        true_speed, true_yaw_rate = ego[:, c:, 0], ego[:, c:, 1]
        pose = {
            "model": integrate(predicted["motion"]).numpy(),
            "constant motion": baselines.constant_motion(batch).numpy(),
        }
        speed, yaw_rate = (
            {
                "model": predicted["ego"][..., i].numpy(),
                "constant motion": np.broadcast_to(ego[:, c - 1, None, i], true_speed.shape),
            }
            for i in (0, 1)
        )
        row = reader.data.starts[some.episode] + some.start + CONTEXT_STEPS - 1
        yield Futures(
            episode=some.episode,
            tags=reader.data.arrays["tags"][row],
            valid=batch.valid[:, c:].numpy(),
            pose=pose,
            true_pose=batch.pose[:, c:].numpy(),
            speed=speed,
            true_speed=true_speed,
            yaw_rate=yaw_rate,
            true_yaw_rate=true_yaw_rate,
            events=predicted["events"].numpy(),
            true_events=batch.events[:, c:].numpy(),
            blocked=blocked(batch, model.contract.bev),
            **(_of_views(model, reader, some, batch, predicted["view"].numpy(), pose, speed) if draw else _NO_VIEWS),
        )


_NO_VIEWS: dict[str, dict[str, np.ndarray]] = {"views": {}, "similarity": {}, "looks": {}, "motions": {}}


def _of_views(
    model: WorldModel,
    reader: WindowReader,
    windows: Windows,
    batch: Batch,
    imagined: np.ndarray,
    pose: dict[str, np.ndarray],
    speed: dict[str, np.ndarray],
) -> dict[str, dict[str, np.ndarray]]:
    """The fields of `Futures` that compare views."""
    c, bev, dt = batch.context, model.contract.bev, model.contract.dt
    truth, valid = batch.semantic[:, c:].numpy(), batch.valid[:, c:].numpy()
    drawn = (
        imagined,
        baselines.copied(batch),
        baselines.moved(batch, bev),
        baselines.drifted(batch, reader.mover_velocities(windows), bev, dt),
    )
    # The ego looks the same in every view; a baseline that does not draw it is not worse for that.
    views = {name: np.where(truth == SemanticClass.EGO, truth, view) for name, view in zip(VIEW_METHODS, drawn)}
    at = [s - 1 for s in SSIM_STEPS if s <= truth.shape[1]]
    # Baselines that are told the true motion have the motion they are told.
    moves = {"true": (batch.pose[:, c:].numpy(), batch.ego[:, c:, 0].numpy())}
    moves |= {name: (pose[name], speed[name]) for name in pose}
    return {
        "views": {name: confusion(view, truth, valid).astype(np.uint16) for name, view in views.items()},
        "similarity": {name: ssim(view[:, at], truth[:, at]) for name, view in views.items()},
        "looks": {name: clip_features(view) for name, view in {**views, "true": truth}.items()},
        "motions": {name: motion_features(*move) for name, move in moves.items()},
    }


@torch.inference_mode()
def dream(model: WorldModel, batch: Batch, seeds: torch.Tensor | None, draw: bool) -> dict[str, torch.Tensor]:
    """What `decode` gives, and "view" if `draw`, for every step after the context: (B, T, ...) each, on the CPU.

    Args:
        model: on any device.
        batch: of B windows; the model sees their contexts, and then their actions only. Past the end of an episode the
            last action is held.
        seeds: (B,) int64 of the noise, None for the mode.
        draw: also draw the view at every step.

    Raises:
        ValueError: if the model predicts something that is not finite.
    """
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
