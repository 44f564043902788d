"""A small world model of cameras with the weights it began with, saved with moments of a simulator's drives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.world_model.checkpoint import save_pretrained
from learned_sim_env.world_model.contexts import Contexts
from learned_sim_env.world_model.rssm.camera.config import SIZES
from learned_sim_env.world_model.rssm.camera.model import CameraWorldModel

STEPS = 6


def camera_checkpoint(path: Path, twin: TwinDrivingEnv, scenarios=(0, 1, 2)) -> Path:
    """Drive `twin`, of the contract "driving-camera", from each scenario's start, and save a checkpoint in `path`."""
    torch.manual_seed(0)
    model = CameraWorldModel(SIZES["camera-tiny"], twin.contract)
    kept, action = model.context_steps, np.array([0.0, 0.4], np.float32)
    seen: dict[str, list[np.ndarray]] = {name: [] for name in model.observes}
    tags = []
    for scenario in scenarios:
        observations = [twin.reset(seed=scenario)[0], *(twin.step(action)[0] for _ in range(STEPS))]
        for name, rows in seen.items():
            rows.append(np.stack([observation[name] for observation in observations[-kept:]]))
        tags.append(twin.tags)
    n = len(scenarios)
    contexts = Contexts(
        {name: np.stack(rows) for name, rows in seen.items()},
        np.tile(action, (n, kept, 1)),
        np.stack(tags),
        np.array(scenarios, np.int64),
        np.tile(action, (n * STEPS, 1)),
        np.arange(n + 1) * STEPS,
    )
    return save_pretrained(path, model.eval(), contexts, uncertainty_bound=3.0, training={})
