"""What an estimator reads from dreamt clips, and from recorded ones of the same windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from learned_sim_env.evaluation.levels.camera_actions.estimator import FRAMES, MotionEstimator, clips_of
from learned_sim_env.evaluation.open_loop import dream
from learned_sim_env.training.batches import Batch
from learned_sim_env.world_model.protocol import WorldModel

# Steering that is held to either side, as far as a driver turns the wheel in a bend, and the throttle with it.
STEER, THROTTLE = 0.4, 0.1
# Steps that it is held, of which the last so many are read: by then the car has answered.
HELD, READ = 10, 5
# [m/s] Slower cars do not turn.
MOVING = 3.0


@dataclass(frozen=True, eq=False)
class Readings:
    """Of N windows and T clips, all of imagined frames alone, (N, T, 2) each, of `MOTIONS`.

    episode: (N,) int64. valid: (N, T) bool. dreamt, recorded: what is read from both. own: the dream's own speed and
    yaw rate. true: the recorded ones, to which the same actions truly led.
    """

    episode: np.ndarray
    valid: np.ndarray
    dreamt: np.ndarray
    recorded: np.ndarray
    own: np.ndarray
    true: np.ndarray


@dataclass(frozen=True, eq=False)
class Turns:
    """Of M moments in which the ego moves, (M, 2) each, under steering held to the left and to the right: the mean yaw
    rate [rad/s] that is read from the frames, and the dream's own.

    episode: (M,) int64.
    """

    episode: np.ndarray
    read: np.ndarray
    own: np.ndarray


def readings(model: WorldModel, estimator: MotionEstimator, batch: Batch, episode: np.ndarray) -> Readings:
    """Of the mode's futures of a batch under the recorded actions.

    Raises:
        ValueError: if the model predicts something that is not finite.
    """
    c, skipped = batch.context, FRAMES - 1
    found = dream(model, batch, None, estimator.names)
    recorded = {name: batch.observations[name][:, c:] for name in estimator.names}
    return Readings(
        episode=episode,
        valid=batch.imaginable[:, c + skipped :].numpy(),
        dreamt=_read(estimator, found),
        recorded=_read(estimator, recorded),
        own=found["ego"][:, skipped:, :2].numpy().astype(np.float64),
        true=batch.ego[:, c + skipped :, :2].numpy().astype(np.float64),
    )


def turns(model: WorldModel, estimator: MotionEstimator, batch: Batch, episode: np.ndarray) -> Turns:
    """Of those windows of a batch, of `HELD` steps or more, in which the ego moves at the end of its context."""
    moving = np.flatnonzero(batch.ego[:, batch.context - 1, 0].numpy() >= MOVING)
    read, own = np.zeros((len(moving), 2)), np.zeros((len(moving), 2))
    if len(moving):
        for side, steer in enumerate((-STEER, STEER)):
            actions = batch.actions.clone()
            actions[:, batch.context :] = torch.tensor([steer, THROTTLE])
            found = dream(model, replace(batch, actions=actions), None, estimator.names)
            last = slice(HELD - READ, HELD)
            frames = {name: found[name][moving, last.start - FRAMES + 1 : last.stop] for name in estimator.names}
            read[:, side] = _read(estimator, frames)[..., 1].mean(1)
            own[:, side] = found["ego"][moving, last, 1].double().mean(1).numpy()
    return Turns(episode[moving], read, own)


def swapped(values: np.ndarray) -> np.ndarray:
    """(M,) bool: whether the yaw rate is to the left under the first of two steerings, to the right under the second.

    values: (M, 2).
    """
    return (values[:, 0] > 0) & (values[:, 1] < 0)


def _read(estimator: MotionEstimator, frames: Mapping[str, torch.Tensor]) -> np.ndarray:
    """(B, T - FRAMES + 1, 2) of frames (B, T, H, W, 3) uint8 by camera."""
    clips = {name: clips_of(frames[name].numpy()) for name in estimator.names}
    shape = clips[estimator.names[0]].shape[:2]
    return estimator.read({name: v.reshape(-1, *v.shape[2:]) for name, v in clips.items()}).reshape(*shape, -1)
