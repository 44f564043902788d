"""How often a road user comes into view, calibrated on what a finished model imagines."""

from __future__ import annotations

import math

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.training.export.calibration import imagined_futures
from learned_sim_env.world_model.rssm.model import DrivingRSSM

# Largest factor by which births become likelier.
MOST_LIKELIER = 5.0


def calibrate_birth_rate(model: DrivingRSSM, data: PackedData) -> float:
    """Make births likelier, in place, because not every new road user can be put where the model wants it.

    One that would come into view off the road, or inside another, is left out; without this the roads of dreams are
    emptier than they should be, and policies that learn to drive there learn to drive too fast.

    Returns:
        The factor by which they are likelier.
    """
    wanted = put = 0.0
    for before, after, valid in imagined_futures(model, data):
        nowhere = model.births.guesses(model.latent.foresee(after["h"]))[0].softmax(-1)[:, -1]
        new = (after["agent_class"] > 0) & (before["agent_class"] == 0)
        wanted += float((1 - nowhere)[valid].sum())
        put += float(new[valid].sum())
    factor = min(max(wanted / max(put, 1.0), 1.0), MOST_LIKELIER)
    model.births.likelier.fill_(math.log(factor))
    return factor
