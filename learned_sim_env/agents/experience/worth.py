"""What a step is worth to an agent: the contract's reward, less what is subtracted for cost, speed and doubt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env import task
from learned_sim_env.agents.settings import TaskSettings
from learned_sim_env.data.packed import PackedData
from learned_sim_env.imagination import Imagined
from learned_sim_env.reinforcement.wrappers import speeding
from learned_sim_env.spec import COST_TERMS, REWARD_TERMS, Contract

PROGRESS = REWARD_TERMS.index("progress")
WRONG_WAY = COST_TERMS.index("wrong_way")
# Events of a crash: those that cost, but for driving against the traffic.
_CRASHES = [task.EVENTS.index(name) for name in COST_TERMS if name != "wrong_way"]


@dataclass(frozen=True, eq=False)
class Worth:
    """Of steps (...), float32.

    reward: the contract's. cost: the contract's, or how likely it is. worth: to the agent. goes_on: probability that no
    event ended the episode.
    """

    reward: np.ndarray
    cost: np.ndarray
    worth: np.ndarray
    goes_on: np.ndarray


def of_imagined(imagined: Imagined, contract: Contract, settings: TaskSettings) -> Worth:
    """Of imagined steps (B,): means over the events that may have happened."""
    mean = task.expected(imagined.terms, imagined.probabilities, contract.reward)
    crash = 1 - (1 - imagined.probabilities[..., _CRASHES]).prod(-1)
    worth = _worth(settings, mean.reward, imagined.terms[..., PROGRESS], crash, mean.cost - crash)
    return Worth(mean.reward, mean.cost, worth - settings.penalty * imagined.uncertainty, mean.goes_on)


def of_recorded(data: PackedData, settings: TaskSettings) -> Worth:
    """Of the steps that led to each moment (N,) of recorded episodes.

    Raises:
        ValueError: if rewards were not recorded.
    """
    if not data.has("reward_terms"):
        raise ValueError("the episodes have no rewards to learn from: collect them in a simulator")
    terms, costs = data.arrays["reward_terms"], data.arrays["cost_terms"].astype(np.float32)
    crash = np.delete(costs, WRONG_WAY, 1).max(1)
    reward, cost = terms.sum(1), costs.max(1)
    worth = _worth(settings, reward, terms[:, PROGRESS], crash, cost - crash)
    return Worth(reward, cost, worth, 1 - data.arrays["terminations"].astype(np.float32))


def _worth(
    s: TaskSettings, reward: np.ndarray, progress: np.ndarray, crash: np.ndarray, wrong: np.ndarray
) -> np.ndarray:
    worth = reward - s.cost_weight * crash - s.wrong_way_weight * wrong
    return (worth - speeding(progress, s.speed_limit) if s.speed_limit else worth).astype(np.float32)
