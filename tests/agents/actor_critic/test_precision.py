"""Networks in the dtype of their inputs."""

from __future__ import annotations

import pytest
import torch

from learned_sim_env.agents.actor_critic.critic import Critic
from learned_sim_env.agents.actor_critic.dreamer_settings import DreamerSettings
from learned_sim_env.agents.actor_critic.precision import NARROW, computed
from learned_sim_env.agents.agent import open_agent
from learned_sim_env.agents.settings import LearnConfig
from learned_sim_env.world_model.layers import MLP
from tests.agents.line_world import line_checkpoint


@pytest.mark.parametrize("out", [4, NARROW + 1])
def test_bfloat16_rounds_what_float32_gives(out):
    torch.manual_seed(0)
    layers, inputs = MLP(20, (64, 64), out), torch.randn(100, 20)
    exact = computed(layers, inputs)
    assert exact.equal(layers(inputs))
    rounded = computed(layers, inputs.bfloat16())
    assert rounded.dtype == torch.float32 and not rounded.equal(exact)
    torch.testing.assert_close(rounded, exact, atol=0.02, rtol=0)


def test_gradients_are_those_of_float32_but_for_rounding():
    torch.manual_seed(0)
    layers, inputs, wanted = MLP(20, (64, 64), 4), torch.randn(100, 20), torch.randn(100, 4)
    found = []
    for given in (inputs, inputs.bfloat16()):
        loss = (computed(layers, given) - wanted).square().mean()
        found.append(torch.autograd.grad(loss, list(layers.parameters())))
    for exact, rounded in zip(*found):
        assert rounded.dtype == torch.float32
        assert (rounded - exact).norm() < 0.02 * exact.norm()


def test_a_critic_begins_at_nothing_in_either():
    critic, inputs = Critic(20, (16,)), torch.randn(50, 20)
    for given in (inputs, inputs.bfloat16()):
        assert critic(given).abs().max() < 1e-4


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_nothing_has_moved_in_the_first_gradient_step(dtype):
    small = {"actions": "actions", "rows": 8, "horizon": 4, "hidden": (8,), "minibatches": 1}
    agent = open_agent(LearnConfig(), DreamerSettings(**small, dtype=dtype), line_checkpoint())
    # What was decided is as likely as when it was decided, and the gain the mean of advantages: nothing.
    told = agent.update(0)
    assert told["drift"] == pytest.approx(0, abs=1e-6) and told["gain"] == pytest.approx(0, abs=1e-4)


def test_another_dtype_is_refused():
    with pytest.raises(ValueError, match="float16"):
        DreamerSettings(dtype="float16")
