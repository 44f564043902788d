"""Futures that a finished model imagines of unseen episodes, and their usual uncertainty."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.training.batches import WindowSampler
from learned_sim_env.training.pictures import after_context
from learned_sim_env.world_model.protocol import State, WorldModel, device_of

# Imagined steps, the quantile of their uncertainty on unseen maps, and how far beyond it the bound lies.
FUTURE_STEPS, BOUND_QUANTILE, BOUND_MARGIN = 50, 0.999, 1.5


def uncertainty_bound(model: WorldModel, data: PackedData) -> float:
    """`BOUND_MARGIN` times the `BOUND_QUANTILE` quantile of the uncertainty in imagined futures of unseen episodes.

    So hardly any step that resembles the data is truncated. `ValueError` if the model's uncertainty is not finite.
    """
    futures = imagined_futures(model, data)
    values = torch.cat([model.decode(state)["uncertainty"][valid] for _, state, valid in futures])
    if not torch.isfinite(values).all():
        raise ValueError("the model's uncertainty is not finite: it was not trained well, and cannot be exported")
    return BOUND_MARGIN * float(np.quantile(values.float().cpu().numpy(), BOUND_QUANTILE))


def imagined_futures(model: WorldModel, data: PackedData, windows: int = 128) -> Iterator[tuple[State, State, Tensor]]:
    """Steps sampled from unseen episodes: states before and after, and (windows,) bool, which of them are valid."""
    c, device = model.context_steps, device_of(model)
    seen = data.split("validation").having(model.observes)
    sampler = WindowSampler(seen, c, FUTURE_STEPS, model.contract.dt, model.observes)
    batch = sampler.sample(windows, 0, 0).to(device)
    with torch.no_grad():
        state = after_context(model, batch)
        for t in range(c, c + FUTURE_STEPS):
            noise = torch.rand(windows, model.noise_size, generator=torch.Generator().manual_seed(t))
            before, state = state, model.imagine(state, batch.actions[:, t], noise.to(device))
            yield before, state, batch.imaginable[:, t]
