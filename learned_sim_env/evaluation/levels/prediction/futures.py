"""Open-loop futures of many windows, reduced as they are rolled out to what the measures of prediction need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from learned_sim_env.evaluation import baselines
from learned_sim_env.evaluation.levels.prediction.straight_on import blocked
from learned_sim_env.evaluation.open_loop import dream, views_by_method
from learned_sim_env.evaluation.windows import WindowReader, Windows
from learned_sim_env.measures.frechet import clip_features, motion_features
from learned_sim_env.measures.image_error import ssim
from learned_sim_env.measures.iou import confusion
from learned_sim_env.spec import SemanticClass
from learned_sim_env.training.batches import Batch
from learned_sim_env.world_model.contexts import CONTEXT_STEPS
from learned_sim_env.world_model.geometry import integrate
from learned_sim_env.world_model.protocol import WorldModel

# Steps after the context at which structural similarity is computed; everything else is known at every step.
SSIM_STEPS = (1, 5, 10, 15, 20, 30, 40, 50, 64)


@dataclass(frozen=True, eq=False)
class PredictedFutures:
    """What was predicted and what happened, over N windows and T steps after their contexts.

    episode: (N,) int64, as in `Windows`. tags: (N, 7) bool, `spec.SCENARIO_TAGS` at the end of the context.
    valid: (N, T) bool. pose: (N, T, 3) by method of `MOTION_METHODS`, and true_pose: (N, T, 3) [m, m, rad], in the
    frame of the ego at the end of the context. speed [m/s], yaw_rate [rad/s]: (N, T) by method, and true ones.
    events: (N, T, 4) probabilities, true_events: (N, T, 4) bool. blocked: (N, T) bool, see `straight_on.blocked`.
    The rest is empty if nothing was drawn. views: (N, T, 9, 9) uint16 by method of `VIEW_METHODS`, see
    `iou.confusion`. similarity: (N, number of `SSIM_STEPS` up to T) float32 by method. view_features,
    motion_features: of clips, (N, F) float32, by method and "true", see `frechet`.
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
    view_features: dict[str, np.ndarray]
    motion_features: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.episode)


def follow(
    model: WorldModel, reader: WindowReader, windows: Windows, batch_size: int, draw: bool = True
) -> Iterator[PredictedFutures]:
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
        yield PredictedFutures(
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


_NO_VIEWS: dict[str, dict[str, np.ndarray]] = {
    "views": {},
    "similarity": {},
    "view_features": {},
    "motion_features": {},
}


def _of_views(
    model: WorldModel,
    reader: WindowReader,
    windows: Windows,
    batch: Batch,
    imagined: np.ndarray,
    pose: dict[str, np.ndarray],
    speed: dict[str, np.ndarray],
) -> dict[str, dict[str, np.ndarray]]:
    """The fields of `PredictedFutures` that compare views."""
    c = batch.context
    truth, valid = batch.semantic[:, c:].numpy(), batch.valid[:, c:].numpy()
    drawn = views_by_method(imagined, batch, reader.mover_velocities(windows), model.contract)
    # The ego looks the same in every view; a baseline that does not draw it is not worse for that.
    views = {name: np.where(truth == SemanticClass.EGO, truth, view) for name, view in drawn.items()}
    at = [s - 1 for s in SSIM_STEPS if s <= truth.shape[1]]
    # Baselines that are told the true motion have the motion they are told.
    moves = {"true": (batch.pose[:, c:].numpy(), batch.ego[:, c:, 0].numpy())}
    moves |= {name: (pose[name], speed[name]) for name in pose}
    return {
        "views": {name: confusion(view, truth, valid).astype(np.uint16) for name, view in views.items()},
        "similarity": {name: ssim(view[:, at], truth[:, at]) for name, view in views.items()},
        "view_features": {name: clip_features(view) for name, view in {**views, "true": truth}.items()},
        "motion_features": {name: motion_features(*move) for name, move in moves.items()},
    }
