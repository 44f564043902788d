"""A small suite in the drawn world, and a real but untrained model that dreams of it."""

from __future__ import annotations

import numpy as np

from learned_sim_env.harness.engine.suite import Suite, SuiteScenario
from learned_sim_env.world_model.checkpoint import Checkpoint
from tests.evaluation.small import small_checkpoint
from tests.evaluation.world import episodes, packed

HORIZON = 8


def small_suite() -> tuple[Checkpoint, Suite]:
    """Four scenarios of two kinds."""
    small = small_checkpoint(packed(episodes()))
    checkpoint = Checkpoint(**{**vars(small), "training": {}, "uncertainty_bound": float("inf")})
    scenarios = tuple(
        SuiteScenario(f"scene-{i}", ("free_road",) if i < 2 else ("curve", "merge"), i, 10 + i, HORIZON, "safe")
        for i in range(4)
    )
    paths = np.zeros((4, HORIZON, 3), np.float32)
    paths[:, :, 0] = 0.75 * np.arange(1, HORIZON + 1)
    limits = {"collision": 0.03, "progress": 1.0}
    return checkpoint, Suite("small", scenarios, checkpoint.contexts, paths, np.full(4, HORIZON), limits)
