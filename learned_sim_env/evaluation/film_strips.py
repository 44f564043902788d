"""Windows as strips of pictures: what was recorded and, under it, what is imagined."""

from __future__ import annotations

import numpy as np
import torch

from learned_sim_env.evaluation.open_loop import drawn_now, dream
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.training.batches import Batch
from learned_sim_env.world_model.protocol import WorldModel


def film_strips(model: WorldModel, batch: Batch, name: str, every: int) -> np.ndarray:
    """(B, rows, columns, 3) uint8: of each window the truth and, under it, the mode's dream of a modality.

    name: of the modality. every: steps from picture to picture, from the last moment of the context on.
    """
    shown = slice(batch.context - 1, None, every)
    truth = batch.observations[name][:, shown].numpy()
    first, later = drawn_now(model, batch, (name,))[name], dream(model, batch, None, (name,))[name]
    dreamt = torch.cat([first[:, None], later], 1)[:, ::every].numpy()
    strips = [_side_by_side(colourise(v) if v.ndim == 4 else v) for v in (truth, dreamt)]
    return np.concatenate(strips, 1)


def _side_by_side(frames: np.ndarray) -> np.ndarray:
    """(B, T, H, W, 3) as B strips (H + 2, T * (W + 2), 3) uint8 with black seams."""
    framed = np.pad(frames, ((0, 0), (0, 0), (0, 2), (0, 2), (0, 0)))
    return framed.transpose(0, 2, 1, 3, 4).reshape(len(frames), frames.shape[2] + 2, -1, 3)
