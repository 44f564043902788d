"""What a dreamer keeps beside what it learns."""

from __future__ import annotations

import pytest
import torch

from learned_sim_env.agents.actor_critic.dreamer import ActorCritic
from learned_sim_env.agents.actor_critic.dreamer_settings import DreamerSettings
from learned_sim_env.agents.agent import open_agent
from learned_sim_env.agents.settings import LearnConfig
from tests.agents.line_world import line_checkpoint

SMALL = {"actions": "actions", "rows": 8, "horizon": 4, "hidden": (8,), "minibatches": 2}


def test_the_average_of_weights_by_hand():
    module = ActorCritic(4, DreamerSettings(**SMALL))
    newest, average = module.actor.layers.output.bias, module.average[-1].bias
    for number in (1.0, 2.0, 3.0):
        with torch.no_grad():
            newest.fill_(number)
        module.follow()
    # Weights go with (t + 9) (t + 8) .. (t + 1): 1, 10 and 55 for the first three.
    assert average.tolist() == pytest.approx([(1 + 2 * 10 + 3 * 55) / 66] * 4)
    assert not any(weight.requires_grad for weight in module.average.parameters())


def test_the_newest_weights_can_drive():
    module = ActorCritic(4, DreamerSettings(**SMALL, average=1e9))
    for number in (1.0, 2.0):
        with torch.no_grad():
            module.actor.layers.output.bias.fill_(number)
        module.follow()
    torch.testing.assert_close(module.averaged().layers.output.bias, torch.full((4,), 2.0))


def test_what_drives_is_the_average():
    agent = open_agent(LearnConfig(), DreamerSettings(**SMALL), line_checkpoint())
    agent.update(0)
    driving, learning = agent.policy({}).network, agent.module.actor
    assert int(agent.module.averaged_steps) == 2
    for name, value in driving.layers.state_dict().items():
        assert value.equal(agent.module.average.state_dict()[name]), name
    # It sees what the actor sees.
    assert driving.inputs.mean.equal(learning.inputs.mean) and driving.inputs.scale.equal(learning.inputs.scale)
    assert not driving.layers.output.weight.equal(learning.layers.output.weight)
