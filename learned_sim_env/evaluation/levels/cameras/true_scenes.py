"""What truly was there at a moment of a window, as `world_model.protocol.ScenePainter` is told of it."""

from __future__ import annotations

import torch
from torch import Tensor

from learned_sim_env.training.batches import Batch
from learned_sim_env.world_model.geometry import relative

# What has to be recorded for a scene to be known.
PARTS = ("map", "pose", "agents")


def true_scenes(batch: Batch, moment: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The scenes of B windows at the last moment of their contexts and at `moment`, the same road users in both.

    They stand in the order of their distance from the ego at the later moment; those that had left by then, or had not
    come before, have the class 0.
    """
    ids, here = batch.agent_ids[:, moment], batch.pose[:, moment, None, :2]
    away = (batch.agent_pose[:, moment, :, :2] - here).norm(dim=-1)
    ids = ids.gather(1, torch.where(ids >= 0, away, torch.inf).argsort(1))
    # What stands beside the road never moves: the same things in the same places.
    beside = {name: values[:, moment] for name, values in batch.scenery.items()}
    return _scene(batch, batch.context - 1, ids, beside), _scene(batch, moment, ids, beside)


def _scene(batch: Batch, moment: int, ids: Tensor, beside: dict[str, Tensor]) -> dict[str, Tensor]:
    """With the road users called `ids` (B, K) int64, -1 for none, and scenery as in `Batch.scenery`, of one moment."""
    standing = {f"scenery_{name}": values for name, values in beside.items()}
    if standing:
        standing["scenery_pose"] = relative(standing["scenery_pose"], batch.pose[:, moment, None])
    same = (batch.agent_ids[:, moment, None] == ids[:, :, None]) & (ids >= 0)[:, :, None]
    index = same.int().argmax(-1)
    pose = batch.agent_pose[:, moment].gather(1, index[..., None].expand(-1, -1, 3))
    return {
        "pose": batch.pose[:, moment],
        "ground": batch.static[:, moment],
        "agent_pose": relative(pose, batch.pose[:, moment, None]),
        "agent_size": batch.agent_size[:, moment].gather(1, index[..., None].expand(-1, -1, 2)),
        "agent_class": torch.where(same.any(-1), batch.agent_class[:, moment].gather(1, index), 0),
        **standing,
    }
