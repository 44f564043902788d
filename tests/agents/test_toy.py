"""Each agent finds the best driving of a world where it is known, within seconds."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.agents.actor_critic.lagrangian import MultiplierSettings
from learned_sim_env.agents.agent import agent_class, open_agent
from learned_sim_env.agents.settings import LearnConfig
from tests.agents.line_world import BORDER, GOAL, STRIDE, driven, line_checkpoint

TASK = {"actions": "actions", "speed_limit": 0, "cost_weight": 0, "wrong_way_weight": 0}
QUICK = {**TASK, "rows": 64, "horizon": 10, "dream": 20, "hidden": (32, 32)}
QUICK |= {"gamma": 0.9, "learning_rate": 3e-3, "warmup": 1, "minibatches": 4, "slow_rate": 0.1}


def learned(name: str, updates: int, **settings):
    """The policy of an agent after so many updates, and what each of these told."""
    made = agent_class(name).settings_class(**{**QUICK, **settings})
    agent = open_agent(LearnConfig(agent=name), made, line_checkpoint())
    told = [agent.update(number) for number in range(updates)]
    return agent.policy({}), told


@pytest.mark.parametrize("actions", ["actions", "discrete"])
def test_dreamer_goes_to_the_goal(actions):
    policy, told = learned("dreamer", 120, actions=actions)
    assert np.abs(driven(policy) - GOAL).mean() < 0.1
    # The value of always being there is 1 / (1 - gamma).
    assert told[-1]["value"] == pytest.approx(10, rel=0.2)


def test_dreamer_minds_what_is_subtracted():
    policy, _ = learned("dreamer", 120, actions="actions", wrong_way_weight=2.0)
    x = driven(policy)
    assert (x <= BORDER).mean() > 0.9 and np.abs(x - BORDER).mean() < 1.5 * STRIDE


@pytest.mark.parametrize("kind", ["pid", "augmented"])
def test_safe_dreamer_stays_at_the_border(kind):
    price = MultiplierSettings(kind, kp=1.0, ki=0.1, kd=0.0, mu=0.1)
    policy, told = learned("safe-dreamer", 200, actions="actions", cost_limit=0.2, multiplier=price)
    x = driven(policy)
    assert (x <= BORDER).mean() > 0.9 and np.abs(x - BORDER).mean() < 2 * STRIDE
    # On average: a price that lags behind lets it swing about the limit.
    assert told[-1]["price"] > 0
    assert np.mean([numbers["cost_to_come"] for numbers in told[100:]]) == pytest.approx(0.2, abs=0.15)


def test_a_limit_that_is_never_reached_costs_nothing():
    policy, told = learned("safe-dreamer", 120, actions="actions", cost_limit=100.0)
    assert told[-1]["price"] == 0 and np.abs(driven(policy) - GOAL).mean() < 0.1
