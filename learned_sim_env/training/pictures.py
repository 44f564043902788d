"""Film strips of dream beside truth, for people to judge a model by while it trains."""

from __future__ import annotations

import numpy as np
import torch

from learned_sim_env.rendering.palette import colourise
from learned_sim_env.training.batches import Batch
from learned_sim_env.world_model.protocol import State, WorldModel, warmed_up


@torch.no_grad()
def after_context(model: WorldModel, batch: Batch) -> State:
    """The state after the real moments of the context."""
    c = batch.context
    return warmed_up(model, {"bev": batch.semantic[:, :c], "ego": batch.ego[:, :c]}, batch.actions[:, :c])


@torch.no_grad()
def film_strips(model: WorldModel, batch: Batch, every: int = 4) -> np.ndarray:
    """(rows, columns, 3) uint8: for each window the truth and, under it, what is imagined from its context."""
    state = after_context(model, batch)
    truth, dream = [batch.semantic[:, batch.context - 1]], []
    drawn, state = model.draw(state, ("bev",))
    picture = drawn["bev"]
    dream.append(picture)
    for t in range(batch.context, batch.semantic.shape[1]):
        state = model.imagine(state, batch.actions[:, t], None)
        drawn, state = model.draw(state, ("bev",))
        picture = drawn["bev"]
        if (t - batch.context + 1) % every == 0:
            truth.append(batch.semantic[:, t])
            dream.append(picture)
    strips = [_side_by_side(torch.stack(frames, 1).cpu().numpy()) for frames in (truth, dream)]
    return np.concatenate([np.concatenate(pair) for pair in zip(*strips)])


def _side_by_side(frames: np.ndarray) -> np.ndarray:
    """(B, T, H, W) class ids as B strips (H + 2, T * (W + 2), 3) uint8 with black seams."""
    framed = np.pad(colourise(frames), ((0, 0), (0, 0), (0, 2), (0, 2), (0, 0)))
    return framed.transpose(0, 2, 1, 3, 4).reshape(len(frames), frames.shape[2] + 2, -1, 3)
