"""Foresight without a model: go on as now, over a world that stands still, and see what is in the way."""

from __future__ import annotations

import numpy as np
import torch

from learned_sim_env.evaluation.baselines import constant_motion
from learned_sim_env.spec import EGO_SIZE, BevSpec, SemanticClass
from learned_sim_env.training.batches import Batch
from learned_sim_env.world_model.geometry import points_from, sample_nearest


def blocked(batch: Batch, bev: BevSpec) -> np.ndarray:
    """(B, T) bool: whether the ego, at constant motion over the last view, is off the road or touches something.

    Off the road counts at the ego's centre, touching at 15 points of its footprint. What lies outside the view blocks
    nothing.
    """
    last, static = batch.observations["bev"][:, batch.context - 1], batch.static[:, batch.context - 1]
    view = torch.where(last == SemanticClass.EGO, static, last)
    x, y = (torch.linspace(-length / 2, length / 2, n) for length, n in zip(EGO_SIZE, (5, 3)))
    footprint = torch.cartesian_prod(x, y)
    # The middle one of them is the centre.
    centre = len(footprint) // 2
    pose = constant_motion(batch)
    seen, inside = sample_nearest(view, points_from(footprint, pose).flatten(1, 2), bev)
    seen, inside = (v.unflatten(1, (pose.shape[1], -1)) for v in (seen, inside))
    touching = ((seen >= SemanticClass.STATIC_OBJECT) & inside).any(-1)
    off_road = (seen[..., centre] == SemanticClass.OFF_ROAD) & inside[..., centre]
    return (touching | off_road).numpy()


def urgency(blocked: np.ndarray, steps: int) -> np.ndarray:
    """(N,) float64 in [0, 1]: how soon within `steps` the way (N, T) is blocked; 1 at once, 0 not at all.

    It is a score that orders moments, not a probability.
    """
    return blocked[:, :steps].cumsum(1).clip(max=1).mean(1)
