"""Open-loop futures of many windows, reduced as they are rolled out to what the measures of prediction need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from learned_sim_env.evaluation import baselines
from learned_sim_env.evaluation.levels.prediction.straight_on import blocked
from learned_sim_env.evaluation.open_loop import CONSTANT_MOTION, MODEL, baseline_views, dream
from learned_sim_env.evaluation.windows import WindowReader, Windows
from learned_sim_env.measures.frechet import clip_features, motion_features
from learned_sim_env.measures.image_error import ssim
from learned_sim_env.measures.iou import confusion
from learned_sim_env.spec import SCENARIO_TAGS, SemanticClass
from learned_sim_env.training.batches import Batch
from learned_sim_env.world_model.geometry import integrate
from learned_sim_env.world_model.protocol import WorldModel

# Steps after the context at which structural similarity is computed; everything else is known at every step.
SSIM_STEPS = (1, 5, 10, 15, 20, 30, 40, 50, 64)


@dataclass(frozen=True, eq=False)
class PredictedFutures:
    """What was predicted and what happened, over N windows and T steps after their contexts.

    episode: (N,) int64, as in `Windows`. tags: (N, 7) bool, `spec.SCENARIO_TAGS` at the end of the context.
    valid: (N, T) bool; watched: those of them of which events are known. pose: (N, T, 3) by method (models and
    `CONSTANT_MOTION`), and true_pose: (N, T, 3) [m, m, rad], in the frame of the ego at the end of the context.
    speed [m/s], yaw_rate [rad/s]: (N, T) by method, and true ones. events: (N, T, 4) probabilities, true_events:
    (N, T, 4) bool. blocked: (N, T) bool, see `straight_on.blocked`; None where views from above were not recorded.
    motion_features: of clips, (N, F) float32, by method and "true", see `frechet`; empty if not asked for. The rest is
    empty if no view was drawn. views: (N, T, 9, 9) uint16 by method, see `iou.confusion`. similarity: (N, number of
    `SSIM_STEPS` up to T) float32 by method. view_features: of clips.
    """

    episode: np.ndarray
    tags: np.ndarray
    valid: np.ndarray
    watched: np.ndarray
    pose: dict[str, np.ndarray]
    true_pose: np.ndarray
    speed: dict[str, np.ndarray]
    true_speed: np.ndarray
    yaw_rate: dict[str, np.ndarray]
    true_yaw_rate: np.ndarray
    events: np.ndarray
    true_events: np.ndarray
    blocked: np.ndarray | None
    motion_features: dict[str, np.ndarray]
    views: dict[str, np.ndarray]
    similarity: dict[str, np.ndarray]
    view_features: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.episode)


def follow(
    models: Mapping[str, WorldModel], reader: WindowReader, windows: Windows, batch_size: int, clips: bool = True
) -> Iterator[PredictedFutures]:
    """The mode's futures of all windows, `batch_size` at a time, under the recorded actions; `dream` says more.

    Args:
        models: see `open_loop.models_by_method`; events are those of the first.
        reader, windows: what is looked at.
        batch_size: windows at a time.
        clips: also compare clips of motion and, of models that draw them, views from above.

    Raises:
        ValueError: if a model predicts something that is not finite.
    """
    bev = models[MODEL].contract.bev
    for first in range(0, len(windows), batch_size):
        some = windows[first : first + batch_size]
        batch = reader.read(some)
        c = batch.context
        viewed = clips and "bev" in batch.observations
        dreamt = {n: dream(m, batch, None, ("bev",) if viewed and "bev" in m.draws else ()) for n, m in models.items()}
        ego = batch.ego.numpy()
        true_speed, true_yaw_rate = ego[:, c:, 0], ego[:, c:, 1]
        pose = {
            **{name: integrate(d["motion"]).numpy() for name, d in dreamt.items()},
            CONSTANT_MOTION: baselines.constant_motion(batch).numpy(),
        }
        speed, yaw_rate = (
            {
                **{name: d["ego"][..., i].numpy() for name, d in dreamt.items()},
                CONSTANT_MOTION: np.broadcast_to(ego[:, c - 1, None, i], true_speed.shape),
            }
            for i in (0, 1)
        )
        row = reader.data.starts[some.episode] + some.start + c - 1
        data, valid = reader.data, batch.imaginable[:, c:].numpy()
        drawn = {name: d["bev"].numpy() for name, d in dreamt.items() if "bev" in d}
        if drawn:
            drawn |= baseline_views(batch, reader.mover_velocities(some), models[MODEL].contract)
        # Baselines that are given the true motion have it.
        moves = {"true": (batch.pose[:, c:].numpy(), true_speed), **{n: (pose[n], speed[n]) for n in pose}}
        yield PredictedFutures(
            episode=some.episode,
            # Without tags a moment is in no group but that of all.
            tags=data.read("tags", row) if data.has("tags") else np.zeros((len(row), len(SCENARIO_TAGS)), bool),
            valid=valid,
            watched=valid & batch.known["events"][:, c:].numpy(),
            pose=pose,
            true_pose=batch.pose[:, c:].numpy(),
            speed=speed,
            true_speed=true_speed,
            yaw_rate=yaw_rate,
            true_yaw_rate=true_yaw_rate,
            events=dreamt[MODEL]["events"].numpy(),
            true_events=batch.events[:, c:].numpy(),
            blocked=blocked(batch, bev) if "bev" in batch.observations else None,
            motion_features={name: motion_features(*move) for name, move in moves.items()} if clips else {},
            **(_of_views(drawn, batch) if drawn else {"views": {}, "similarity": {}, "view_features": {}}),
        )


def _of_views(drawn: dict[str, np.ndarray], batch: Batch) -> dict[str, dict[str, np.ndarray]]:
    """The fields of `PredictedFutures` that compare views (B, T, H, W) uint8 by method."""
    c = batch.context
    truth, valid = (x[:, c:].numpy() for x in (batch.observations["bev"], batch.imaginable & batch.known["bev"]))
    # The ego looks the same in every view; a baseline that does not draw it is not worse for that.
    views = {name: np.where(truth == SemanticClass.EGO, truth, view) for name, view in drawn.items()}
    at = [s - 1 for s in SSIM_STEPS if s <= truth.shape[1]]
    return {
        "views": {name: confusion(view, truth, valid).astype(np.uint16) for name, view in views.items()},
        "similarity": {name: ssim(view[:, at], truth[:, at]) for name, view in views.items()},
        "view_features": {name: clip_features(view) for name, view in {**views, "true": truth}.items()},
    }
