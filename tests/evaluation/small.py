"""A checkpoint of a real but small and untrained model, starting in the drawn world."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.world_model.contexts import CONTEXT_STEPS, Contexts
from learned_sim_env.world_model.rssm.config import SIZES
from learned_sim_env.world_model.rssm.model import DrivingRSSM
from tests.evaluation.world import CONTRACT


def small_checkpoint(data: PackedData, contexts: int = 4) -> SimpleNamespace:
    """Context i is in the middle of episode i."""
    torch.manual_seed(0)
    model = DrivingRSSM(SIZES["rssm-tiny"], CONTRACT).eval().requires_grad_(False)
    # Untrained, all rows would move alike. Their speed they keep, so that they get somewhere.
    torch.nn.init.normal_(model.ego_path.dynamics.output.weight[:3], std=0.3)
    rows = (data.starts + data.lengths // 2)[:contexts, None] + np.arange(CONTEXT_STEPS)
    return SimpleNamespace(
        name="small",
        model=model,
        contract=CONTRACT,
        fingerprint="0" * 64,
        uncertainty_bound=1.0,
        contexts=Contexts(
            {"bev": data.arrays["semantic"][rows], "ego": data.arrays["ego"][rows]},
            actions=data.arrays["actions"][rows],
            tags=np.ones((contexts, 7), bool),
            scenarios=np.arange(contexts),
            replay=np.zeros((contexts, 2), np.float32),
            replay_starts=np.arange(contexts + 1),
        ),
    )
