"""Film strips of dreams beside the truth, to judge a model by eye while it trains."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.rendering.palette import colourise
from learned_sim_env.spec import Modality
from learned_sim_env.training.batches import Batch
from learned_sim_env.world_model.protocol import State, WorldModel, warmed_up


@torch.no_grad()
def after_context(model: WorldModel, batch: Batch) -> State:
    """The state after the real moments of the context."""
    c = batch.context
    seen = {name: values[:, :c] for name, values in batch.observations.items()}
    return warmed_up(model, seen, batch.actions[:, :c])


@torch.no_grad()
def film_strips(model: WorldModel, batch: Batch, every: int = 4) -> np.ndarray:
    """(rows, columns, 3) uint8: for each window the truth and, under it, what is imagined from its context.

    Of the first picture that the model draws; `ValueError` if it draws none.
    """
    shown = picture_drawn(model)
    if shown is None:
        raise ValueError(f"the model draws no picture: {', '.join(model.draws) or 'nothing'}")
    real, state = batch.observations[shown.name], after_context(model, batch)
    truth, dream = [real[:, batch.context - 1]], []
    drawn, state = model.draw(state, (shown.name,))
    dream.append(drawn[shown.name])
    for t in range(batch.context, real.shape[1]):
        state = model.imagine(state, batch.actions[:, t], None)
        drawn, state = model.draw(state, (shown.name,))
        if (t - batch.context + 1) % every == 0:
            truth.append(real[:, t])
            dream.append(drawn[shown.name])
    strips = [_side_by_side(torch.stack(frames, 1), shown) for frames in (truth, dream)]
    return np.concatenate([np.concatenate(pair) for pair in zip(*strips)])


def picture_drawn(model: WorldModel) -> Modality | None:
    """The first picture that the model draws, if it draws any."""
    drawn = map(model.contract.modality, model.draws)
    return next((modality for modality in drawn if modality.kind != "vector"), None)


def _side_by_side(frames: Tensor, modality: Modality) -> np.ndarray:
    """(B, T, *shape) pictures as B strips (H + 2, T * (W + 2), 3) uint8 with black seams."""
    pictures = frames.cpu().numpy()
    pictures = colourise(pictures) if modality.kind == "classes" else pictures
    framed = np.pad(pictures, ((0, 0), (0, 0), (0, 2), (0, 2), (0, 0)))
    return framed.transpose(0, 2, 1, 3, 4).reshape(len(framed), framed.shape[2], -1, 3)
