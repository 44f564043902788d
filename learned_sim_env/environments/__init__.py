"""Gymnasium environments: dreams, single and vectorised, and twins on simulators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.optional import lazy_names

if TYPE_CHECKING:
    from learned_sim_env.environments.learned import LearnedDrivingEnv
    from learned_sim_env.environments.learned_vector import LearnedDrivingVectorEnv
    from learned_sim_env.environments.twin import TwinDrivingEnv

__all__ = ["LearnedDrivingEnv", "LearnedDrivingVectorEnv", "TwinDrivingEnv"]

# They load torch or a simulator.
__getattr__ = lazy_names(
    __name__,
    {
        "LearnedDrivingEnv": "learned_sim_env.environments.learned",
        "LearnedDrivingVectorEnv": "learned_sim_env.environments.learned_vector",
        "TwinDrivingEnv": "learned_sim_env.environments.twin",
    },
)
