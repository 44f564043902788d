"""Dreams that are driven on where nothing is left to compare with: how much of their views no road would show.

Which road comes next is chance: a view of it that is not the true one is no error. But it has to be a view that could
have been, and how far it is from that can be seen at any age (`measures.road_shape.implausible`). It is told in the
unit of errors that are known: a view as implausible as one real view in a thousand counts as one of which as much is
wrong as of one imagined view in a thousand that can be compared with the truth.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.drivers.route import RouteFollower
from learned_sim_env.measures.road_shape import implausible
from learned_sim_env.spec import TERMINATIONS
from learned_sim_env.task import EVENTS
from learned_sim_env.training.batches import Batch
from learned_sim_env.training.pictures import after_context
from learned_sim_env.world_model.rssm.model import OLDEST, DrivingRSSM
from learned_sim_env.world_model.rssm.roads.plan import BEGIN

# Steps between the moments that are drawn and learned from; [m/s] how fast it is driven.
EVERY, SPEEDS = 5, (3.0, 12.0)
# One in a thousand.
RARE = 0.999


@torch.no_grad()
def driven_on(model: DrivingRSSM, batch: Batch, seed: int, steps: int = OLDEST) -> tuple[Tensor, Tensor]:
    """The moments of dreams that are driven along their routes from the contexts of `batch` on, until they end.

    Returns:
        Of those that are older than `BEGIN`, features (N, F) float16 and the share of the view (N,) float32 that is
        implausible.
    """
    training = model.training
    torch.manual_seed(seed)
    model.eval()
    state = after_context(model, batch)
    device, ego = state["ego"].device, state["ego"].cpu().numpy()
    speed = np.random.default_rng(seed).uniform(*SPEEDS, len(ego))
    driver = RouteFollower(RouteFollower.from_ego(ego).offset, speed)
    ends = [EVENTS.index(name) for name in TERMINATIONS if name in EVENTS]
    going = torch.ones(len(ego), dtype=torch.bool, device=device)
    features, shares = [], []
    for age in range(1, steps + 1):
        action = torch.from_numpy(driver(state["ego"].cpu().numpy())).to(device)
        state = model.imagine(state, action, torch.rand(len(ego), model.noise_size, device=device))
        going &= (model.decode(state)["events"][:, ends] < 0.5).all(1)
        if age % EVERY:
            continue
        pictures, state = model.draw(state, ("bev",))
        if age > BEGIN:
            features.append(model.features(state)[going].half())
            shares.append(implausible(pictures["bev"][going].cpu().numpy()))
    model.train(training)
    return torch.cat(features), torch.from_numpy(np.concatenate(shares)).float().to(device)


def unit(errors: Tensor, real: np.ndarray) -> float:
    """By which the implausible share of a view is multiplied to count as errors do.

    errors: (N,) shares of imagined views that are wrong, NaN where that is not known; of some it is. real: (M, H, W)
    uint8 views.
    """
    known = errors[~errors.isnan()].cpu().numpy()
    usual = np.quantile(implausible(real), RARE)
    return float(np.quantile(known, RARE) / max(usual, 1 / real[0].size))
