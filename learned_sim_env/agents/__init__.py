"""Agents that learn to drive in a frozen world model's imagination."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.agents.settings import DreamSettings, LearnConfig
from learned_sim_env.optional import lazy_names

if TYPE_CHECKING:
    from learned_sim_env.agents.agent import Agent, agent_class, open_agent
    from learned_sim_env.agents.experience.dreams import Dreams, Segment
    from learned_sim_env.agents.learning import Learner

__all__ = ["Agent", "DreamSettings", "Dreams", "LearnConfig", "Learner", "Segment", "agent_class", "open_agent"]

# They load torch.
__getattr__ = lazy_names(
    __name__,
    {
        "Agent": "learned_sim_env.agents.agent",
        "agent_class": "learned_sim_env.agents.agent",
        "open_agent": "learned_sim_env.agents.agent",
        "Dreams": "learned_sim_env.agents.experience.dreams",
        "Segment": "learned_sim_env.agents.experience.dreams",
        "Learner": "learned_sim_env.agents.learning",
    },
)
