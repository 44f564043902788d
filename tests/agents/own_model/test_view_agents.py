"""Agents with an encoder of their own: their parts by hand, and that they drive a world whose optimum is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.agents.agent import open_agent
from learned_sim_env.agents.own_model.jepa_goal import GoalPlanner, JepaGoalSettings, spread_losses
from learned_sim_env.agents.own_model.recorded_steps import RecordedSteps
from learned_sim_env.agents.own_model.tdmpc2_model import SimNorm, TDMPC2Model, TDMPC2Settings
from learned_sim_env.agents.own_model.view_policy import ViewDriver, ViewPolicy
from learned_sim_env.agents.own_model.views import SeenRows, ViewEncoder, ViewSettings
from learned_sim_env.agents.settings import LearnConfig
from learned_sim_env.drivers.catalogue import open_driver
from learned_sim_env.drivers.driver import observed_by
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.spec import CONTRACTS, Contract
from tests.agents.line_world import BORDER, GOAL, line_checkpoint, line_episodes, planned

TASK = {"actions": "actions", "speed_limit": 0, "cost_weight": 0, "wrong_way_weight": 0}
QUICK = {**TASK, "hidden": (32, 32), "sequences": 32, "elites": 4, "batch": 64, "lag": 1}


def test_simnorm_by_hand():
    found = SimNorm(2)(torch.tensor([[0.0, np.log(3.0), 1.0, 1.0]], dtype=torch.float32))
    torch.testing.assert_close(found, torch.tensor([[0.25, 0.75, 0.5, 0.5]]))
    many = SimNorm(8)(100 * torch.randn(5, 3, 32))
    torch.testing.assert_close(many.unflatten(-1, (4, 8)).sum(-1), torch.ones(5, 3, 4))


def test_the_losses_against_collapse_by_hand():
    z = torch.tensor([[1.0, 2.0], [-1.0, -2.0], [0.0, 0.0]])
    variance, covariance = spread_losses(z)
    # Variances are 1 and 4, their covariance is 2, which stands there twice.
    torch.testing.assert_close(variance, torch.tensor(0.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(covariance, torch.tensor(2 * 2.0**2 / 2))
    torch.testing.assert_close(spread_losses(torch.ones(4, 2))[0], torch.tensor(0.99))


def test_stretches_are_those_that_were_recorded():
    data, settings = line_episodes(count=3, steps=6), ViewSettings(**TASK | {"wrong_way_weight": 2.0}, lag=2)
    steps = RecordedSteps(line_checkpoint(), data, settings, horizon=3)
    assert len(steps) == 3 * 4
    window = steps.sample(50, np.random.default_rng(0))
    assert (
        data.starts.searchsorted(window.rows[:, 0], "right") == data.starts.searchsorted(window.rows[:, -1], "right")
    ).all()
    x = data.arrays["ego"][window.rows[:, 1:], 0]
    np.testing.assert_allclose(window.worth, 1 - np.abs(x - GOAL) - 2.0 * (x > BORDER), atol=1e-5)
    np.testing.assert_array_equal(window.decided, data.arrays["actions"][window.rows[:, 1:]])
    assert (window.goes_on == 1).all()
    views = steps.views(np.array([7, 8, 9, 10]))
    np.testing.assert_array_equal(views["ego"][:, 1], data.arrays["ego"][7:11])
    # An episode's first moments see the first one twice.
    np.testing.assert_array_equal(views["ego"][:, 0], data.arrays["ego"][[7, 7, 7, 8]])
    with pytest.raises(ValueError, match="no episode has 7 successive steps"):
        RecordedSteps(line_checkpoint(), data, settings, horizon=7)


@pytest.mark.parametrize("contract", ["driving", "driving-camera"])
def test_every_modality_is_seen(contract):
    contract = CONTRACTS[contract]
    names = tuple(m.name for m in contract.modalities)
    torch.manual_seed(0)
    encoder = ViewEncoder(contract, names, ViewSettings(hidden=(16,), latent=6, channels=4)).eval()
    rng = np.random.default_rng(0)
    views = {}
    for m in contract.modalities:
        low, high = m.limits
        drawn = (
            rng.integers(low, high.astype(int) + 1, (2, 2, *m.shape))
            if m.kind != "vector"
            else rng.normal(size=(2, 2, *m.shape))
        )
        views[m.name] = torch.from_numpy(drawn.astype(m.dtype))
    z = encoder(views)
    assert z.shape == (2, 6)
    for name, seen in views.items():
        for moment in range(2):
            other = seen.clone()
            other[0, moment] = other[1, moment]
            found = encoder({**views, name: other})
            assert not torch.equal(found[0], z[0]) and torch.equal(found[1], z[1]), (name, moment)


def test_a_driver_sees_what_was_seen_before():
    rows = SeenRows(Contract(), ("bev", "ego"), 2, 1)
    pictures = np.random.default_rng(0).integers(0, 5, (4, 1, 64, 64)).astype(np.uint8)
    for t, picture in enumerate(pictures):
        seen = {"bev": colourise(picture), "ego": np.full((1, 6), t, np.float32)}
        (views,) = rows.update(seen, np.array([t == 0]))
        np.testing.assert_array_equal(views["ego"][0, :, 0], [max(t - 2, 0), t])
        np.testing.assert_array_equal(views["bev"][0], pictures[[max(t - 2, 0), t], 0])
    (views,) = rows.update(seen, np.array([True]))
    np.testing.assert_array_equal(views["ego"][0, :, 0], [3, 3])


@pytest.mark.slow
def test_tdmpc2_goes_to_the_goal():
    settings = TDMPC2Settings(**QUICK, latent=16, gamma=0.9, learning_rate=3e-3, slow_rate=0.1, proposals=8)
    agent = open_agent(LearnConfig(agent="tdmpc2"), settings, line_checkpoint(), line_episodes())
    first = agent.update(0)
    for number in range(1, 150):
        told = agent.update(number)
    assert told["consistency"] < 0.5 * first["consistency"] and told["worth"] < first["worth"]
    reached = planned(ViewDriver(agent.policy({}), [0]))
    assert np.abs(reached - GOAL).max() < 0.2


def test_slow_critics_and_the_policy_learn_apart():
    """The policy's loss changes no critic, though it goes through them."""
    settings = TDMPC2Settings(**QUICK, latent=16, proposals=8)
    agent = open_agent(LearnConfig(agent="tdmpc2"), settings, line_checkpoint(), line_episodes())
    agent._policy_loss(torch.rand(3, 4, 16), np.random.default_rng(0), torch.Generator().manual_seed(0)).backward()
    moved = {name.partition(".")[0] for name, weight in agent.module.named_parameters() if weight.grad is not None}
    assert moved == {"policy"}
    assert isinstance(agent.module, TDMPC2Model)


def jepa(**more):
    settings = JepaGoalSettings(**QUICK, latent=8, kept=256, neighbours=8, iterations=5, **more)
    agent = open_agent(LearnConfig(agent="jepa-goal"), settings, line_checkpoint(), line_episodes(told=False))
    for number in range(400):
        told = agent.update(number)
    return agent, told


@pytest.mark.slow
def test_jepa_goes_to_a_goal_view_and_to_what_was_rewarding():
    agent, told = jepa()
    assert told["variance"] < 0.3 and told["prediction"] < 0.1
    policy = agent.policy({})
    reached = planned(ViewDriver(policy, [0]), told=False)
    assert np.abs(reached - GOAL).max() < 0.35
    view = {"ego": torch.zeros(1, 2, 6)}
    view["ego"][..., 0] = -0.4
    mind, seen = GoalPlanner(policy.module, policy.settings, 0, goal=view), SeenRows(Contract(), ("ego",), 1, 1)

    def act(observations, began):
        with torch.inference_mode():
            return mind.decide(seen.update(observations, began)[0])[None]

    assert np.abs(planned(act, told=False) + 0.4).max() < 0.35


@pytest.mark.parametrize("name", ["tdmpc2", "jepa-goal"])
def test_a_file_drives(name, tmp_path):
    """Through the file, with pictures; rows do not depend on each other."""
    settings = {"tdmpc2": TDMPC2Settings, "jepa-goal": JepaGoalSettings}[name](
        hidden=(8,),
        latent=8,
        channels=2,
        sequences=8,
        elites=2,
        iterations=1,
        **({"proposals": 2} if name == "tdmpc2" else {"kept": 4}),
    )
    from learned_sim_env.agents.agent import agent_class

    torch.manual_seed(0)
    contract = CONTRACTS["driving"]
    module = agent_class(name).new_module(contract, ("bev", "ego"), settings)
    path = tmp_path / "p.safetensors"
    ViewPolicy(name, settings, module, contract, ("bev", "ego"), {"seed": 1}).save(path)
    found = ViewPolicy.load(path)
    assert found.settings == settings and found.about == {"seed": 1}
    both, alone = open_driver(str(path), [3, 4]), open_driver(str(path), [4])
    assert observed_by(both) == ("bev", "ego")
    rng = np.random.default_rng(0)
    for t in range(2):
        seen = {
            "bev": colourise(rng.integers(0, 5, (2, 64, 64)).astype(np.uint8)),
            "ego": rng.normal(size=(2, 6)).astype(np.float32),
        }
        actions = both(seen, np.full(2, t == 0))
        assert actions.shape == (2, 2) and np.abs(actions).max() <= 1
        np.testing.assert_array_equal(alone({n: v[1:] for n, v in seen.items()}, np.full(1, t == 0)), actions[1:])
