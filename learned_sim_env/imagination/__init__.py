"""Batched rollouts of a world model: starts, noise, steps, and what they are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.optional import lazy_names

if TYPE_CHECKING:
    from learned_sim_env.imagination.filter import Filter
    from learned_sim_env.imagination.inference import Inference
    from learned_sim_env.imagination.judging import Judgement, judge
    from learned_sim_env.imagination.rollout import Imagined, Rollout
    from learned_sim_env.imagination.starts import Start, Starts

__all__ = ["Filter", "Imagined", "Inference", "Judgement", "Rollout", "Start", "Starts", "judge"]

# They load torch.
__getattr__ = lazy_names(
    __name__,
    {
        "Filter": "learned_sim_env.imagination.filter",
        "Imagined": "learned_sim_env.imagination.rollout",
        "Inference": "learned_sim_env.imagination.inference",
        "Judgement": "learned_sim_env.imagination.judging",
        "Rollout": "learned_sim_env.imagination.rollout",
        "Start": "learned_sim_env.imagination.starts",
        "Starts": "learned_sim_env.imagination.starts",
        "judge": "learned_sim_env.imagination.judging",
    },
)
