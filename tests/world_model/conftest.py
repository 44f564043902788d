"""A small untrained model with contexts, as a checkpoint folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from learned_sim_env.spec import CONTRACTS
from learned_sim_env.world_model.checkpoint import save_pretrained
from learned_sim_env.world_model.contexts import Contexts
from learned_sim_env.world_model.rssm.config import SIZES
from learned_sim_env.world_model.rssm.model import DrivingRSSM


@pytest.fixture(scope="session")
def model() -> DrivingRSSM:
    torch.manual_seed(0)
    model = DrivingRSSM(SIZES["rssm-tiny"], CONTRACTS["driving"]).eval().requires_grad_(False)
    # Untrained agents and egos would all move alike.
    for module in (model.ego_path.dynamics, model.agent_motion.net):
        torch.nn.init.normal_(module[-1].weight, std=0.3)
    torch.nn.init.normal_(model.route_finder.net.output.weight, std=0.3)
    return model


@pytest.fixture(scope="session")
def contexts() -> Contexts:
    rng = np.random.default_rng(0)
    n = 6
    ego = np.zeros((n, 5, 6), np.float32)
    ego[..., 0] = 8.0
    semantic = np.ones((n, 5, 64, 64), np.uint8)
    semantic[:, :, 20:26, 30:33] = 6
    semantic[:, :, :, 10] = 4
    replay = rng.uniform(-1, 1, (n * 7, 2)).astype(np.float32)
    tags = rng.random((n, 7)) < 0.5
    tags[0] = True
    tags[:, 3] = False
    seen, still = {"bev": semantic, "ego": ego}, np.zeros((n, 5, 2), np.float32)
    return Contexts(seen, still, tags, np.arange(n), replay, np.arange(n + 1) * 7)


@pytest.fixture
def folder(tmp_path, model, contexts) -> Path:
    return save_pretrained(tmp_path / "small", model, contexts, 3.0, {"steps": 0})
