"""Training of world models: a trainer that knows only an objective, and the objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.optional import lazy_names

if TYPE_CHECKING:
    from learned_sim_env.training.batches import Batch, WindowSampler
    from learned_sim_env.training.config import TrainConfig
    from learned_sim_env.training.loop.trainer import Trainer
    from learned_sim_env.training.objective import Finished, Objective, WindowObjective

__all__ = ["Batch", "Finished", "Objective", "TrainConfig", "Trainer", "WindowObjective", "WindowSampler"]

# They load torch.
__getattr__ = lazy_names(
    __name__,
    {
        "Batch": "learned_sim_env.training.batches",
        "Finished": "learned_sim_env.training.objective",
        "Objective": "learned_sim_env.training.objective",
        "TrainConfig": "learned_sim_env.training.config",
        "Trainer": "learned_sim_env.training.loop.trainer",
        "WindowObjective": "learned_sim_env.training.objective",
        "WindowSampler": "learned_sim_env.training.batches",
    },
)
