"""Learning to drive: wrappers, adapters to reinforcement-learning libraries, and the experiment from dream to twin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.optional import lazy_names
from learned_sim_env.reinforcement.infos import of_step
from learned_sim_env.reinforcement.vector_wrappers import (
    VectorCostAsReward,
    VectorRayObservation,
    VectorSpeedLimit,
    VectorTargetActions,
    VectorUncertaintyPenalty,
)
from learned_sim_env.reinforcement.wrappers import (
    CostAsReward,
    Curriculum,
    DiscreteActions,
    RayObservation,
    SafetyGymnasium,
    SpeedLimit,
    TargetActions,
    UncertaintyPenalty,
)

if TYPE_CHECKING:
    from learned_sim_env.reinforcement.latent import LatentObservation
    from learned_sim_env.reinforcement.ppo import exported
    from learned_sim_env.reinforcement.sb3 import Sb3VecEnv

__all__ = [
    "CostAsReward",
    "Curriculum",
    "DiscreteActions",
    "LatentObservation",
    "RayObservation",
    "SafetyGymnasium",
    "Sb3VecEnv",
    "SpeedLimit",
    "TargetActions",
    "UncertaintyPenalty",
    "VectorCostAsReward",
    "VectorRayObservation",
    "VectorSpeedLimit",
    "VectorTargetActions",
    "VectorUncertaintyPenalty",
    "exported",
    "of_step",
]

# They load torch, two of them Stable-Baselines3.
__getattr__ = lazy_names(
    __name__,
    {
        "LatentObservation": "learned_sim_env.reinforcement.latent",
        "exported": "learned_sim_env.reinforcement.ppo",
        "Sb3VecEnv": "learned_sim_env.reinforcement.sb3",
    },
)
