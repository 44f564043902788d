"""Open-loop futures of camera frames, reduced as they are imagined to how far they are from the recorded ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from learned_sim_env.evaluation.levels.cameras.frame_baselines import warped_over_ground
from learned_sim_env.evaluation.levels.cameras.true_scenes import PARTS, true_scenes
from learned_sim_env.evaluation.open_loop import MODEL, after_context, dream
from learned_sim_env.evaluation.windows import WindowReader, Windows
from learned_sim_env.measures.frame_error import changed, frame_ssim, psnr
from learned_sim_env.measures.seams import overlaps, seam_error
from learned_sim_env.training.batches import Batch
from learned_sim_env.world_model.protocol import ScenePainter, State, WorldModel

# Steps after the context at which frames are compared.
STEPS = (1, 5, 15, 30)
# Beside the models: the last frame again, and moved as the ego truly moves.
COPIED, WARPED = "last frame", "last frame, moved over the ground"
# The model, where it is told what is truly there: what is missing is its drawing's. And what was recorded.
TOLD, TRUE = "model, told the true scene", "recorded"
# By name: how far a frame is from the true one, of all its pixels and of those that changed since the context.
MEASURES = ("psnr", "ssim", "psnr_changed", "ssim_changed")


@dataclass(frozen=True, eq=False)
class FrameFutures:
    """How good frames are, over N windows at the S `STEPS` up to the horizon.

    episode: (N,) int64, as in `Windows`. valid: (N, S) bool. scores: by camera, method and measure, (N, S) float64; NaN
    where nothing changed. changed: by camera, (N, S) share of pixels that did. seams: by the two cameras' names and
    method, the model's and the recorded frames', (N, S) `seam_error`.
    """

    episode: np.ndarray
    valid: np.ndarray
    scores: dict[str, dict[str, dict[str, np.ndarray]]]
    changed: dict[str, np.ndarray]
    seams: dict[str, dict[str, np.ndarray]]


def steps_up_to(horizon: int) -> list[int]:
    """Those of `STEPS` that a horizon reaches."""
    return [step for step in STEPS if step <= horizon]


def follow_frames(
    models: Mapping[str, WorldModel], reader: WindowReader, windows: Windows, cameras: Sequence[str], batch_size: int
) -> Iterator[FrameFutures]:
    """The mode's futures of all windows, `batch_size` at a time, under the recorded actions; `dream` says more.

    Args:
        models: see `open_loop.models_by_method`; each is shown where it draws a camera.
        reader, windows: what is looked at.
        cameras: names of rgb modalities.
        batch_size: windows at a time.

    Raises:
        ValueError: if a model predicts something that is not finite, or the episodes lack what it observes.
    """
    for first in range(0, len(windows), batch_size):
        some = windows[first : first + batch_size]
        yield compare_frames(models, reader.read(some), some.episode, cameras)


def compare_frames(
    models: Mapping[str, WorldModel], batch: Batch, episode: np.ndarray, cameras: Sequence[str]
) -> FrameFutures:
    """Of the B windows of a batch, which are of episodes `episode` (B,) int64."""
    c = batch.context
    at = np.array(steps_up_to(batch.pose.shape[1] - c)) - 1
    drawn, starts = {}, {name: after_context(model, batch) for name, model in models.items()}
    for name, model in models.items():
        wanted = tuple(camera for camera in cameras if camera in model.draws)
        found = dream(model, batch, None, wanted, start=starts[name])
        drawn[name] = {camera: found[camera][:, at].numpy() for camera in wanted}
    told = _told(models[MODEL], starts[MODEL], batch, at, [camera for camera in cameras if camera in drawn[MODEL]])
    scores: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    shares = {}
    for camera in cameras:
        spec = models[MODEL].contract.modality(camera).camera
        assert spec is not None
        seen = batch.observations[camera].numpy()
        last, truth = seen[:, c - 1], seen[:, c:][:, at]
        moved = changed(truth, last[:, None])
        shares[camera] = moved.mean((-1, -2))
        frames = {name: by[camera] for name, by in drawn.items() if camera in by}
        frames[COPIED] = np.broadcast_to(last[:, None], truth.shape)
        if camera in told:
            frames[TOLD] = told[camera]
        frames[WARPED] = warped_over_ground(last, batch.pose[:, c:][:, at].numpy(), spec)
        scores[camera] = {name: _scores(frame, truth, moved) for name, frame in frames.items()}
    shown = {MODEL: drawn[MODEL], TRUE: {name: batch.observations[name][:, c:][:, at].numpy() for name in cameras}}
    return FrameFutures(episode, batch.valid[:, c:][:, at].numpy(), scores, shares, _seams(models[MODEL], shown))


def _seams(model: WorldModel, shown: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, dict[str, np.ndarray]]:
    """Of frames (B, S, H, W, 3) uint8 by method and camera; see `FrameFutures.seams`."""
    together = tuple(m for m in model.contract.cameras if all(m.name in frames for frames in shown.values()))
    return {
        f"{one} and {other}": {
            method: seam_error(frames[one], frames[other], shared) for method, frames in shown.items()
        }
        for (one, other), shared in overlaps(together).items()
    }


@torch.inference_mode()
def _told(
    model: WorldModel, state: State, batch: Batch, at: np.ndarray, cameras: Sequence[str]
) -> dict[str, np.ndarray]:
    """(B, S, H, W, 3) uint8 by camera: what the model draws of the true scenes, from the state after the context; empty
    if these are not known.
    """
    if not isinstance(model, ScenePainter) or not all(bool(batch.known[part].any()) for part in PARTS):
        return {}
    batch = batch.to(next(iter(state.values())).device)
    steps = [model.paint(state, *true_scenes(batch, batch.context + int(t)), cameras) for t in at]
    return {name: torch.stack([step[name] for step in steps], 1).cpu().numpy() for name in cameras}


def _scores(frames: np.ndarray, truth: np.ndarray, moved: np.ndarray) -> dict[str, np.ndarray]:
    """(B, S) by name of `MEASURES`, of frames (B, S, H, W, 3) uint8."""
    found = (
        psnr(frames, truth),
        frame_ssim(frames, truth),
        psnr(frames, truth, moved),
        frame_ssim(frames, truth, moved),
    )
    return dict(zip(MEASURES, found))
