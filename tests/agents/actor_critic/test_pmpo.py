"""Cloning and PMPO: the losses by hand, and that they improve on what was recorded without a step of a simulator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from learned_sim_env.agents.actor_critic.actors import Spread, decision
from learned_sim_env.agents.actor_critic.cloning import CloningSettings, Later, cloning_loss
from learned_sim_env.agents.actor_critic.dreamer_settings import DreamerSettings
from learned_sim_env.agents.actor_critic.latent_policy import LatentNetwork
from learned_sim_env.agents.actor_critic.pmpo import PMPOSettings, pmpo_loss
from learned_sim_env.agents.agent import open_agent
from learned_sim_env.agents.decisions import decided_by
from learned_sim_env.agents.experience import recorded
from learned_sim_env.agents.experience.recorded import moments_and_left, real_moments, recorded_moments
from learned_sim_env.agents.settings import LearnConfig
from learned_sim_env.data.packed import PackedData
from tests.agents.line_world import GOAL, driven, line_checkpoint, line_episodes

TASK = {"speed_limit": 0, "cost_weight": 0, "wrong_way_weight": 0}
QUICK = {**TASK, "rows": 64, "horizon": 10, "dream": 20, "hidden": (32, 32), "gamma": 0.9, "learning_rate": 3e-3}
QUICK |= {"warmup": 1, "minibatches": 4, "slow_rate": 0.1, "moments": 50}


def test_moments_are_as_a_policy_sees_them():
    data = line_episodes(count=3, steps=5)
    moments = recorded_moments(line_checkpoint(), data, "actions")
    assert moments.features.shape == (18, 12) and moments.left.tolist() == [5, 4, 3, 2, 1, 0] * 3
    np.testing.assert_allclose(moments.features[:, 0], data.arrays["ego"][:, 0])
    np.testing.assert_array_equal(moments.decided[:5], data.arrays["actions"][1:6])
    decided, known = moments.ahead(torch.tensor([3, 16]), 3)
    assert known.tolist() == [[True, True, False], [True, False, False]]
    np.testing.assert_array_equal(decided[0, :2], data.arrays["actions"][4:6])


def test_features_of_recordings_are_kept_beside_them(tmp_path, monkeypatch):
    checkpoint, data = line_checkpoint(), line_episodes(count=3, steps=5)
    path = tmp_path / "packed.npz"
    PackedData.save(path, [data.episode(i) for i in range(len(data))], data.fingerprints)
    found = recorded_moments(checkpoint, PackedData.load(path), "actions").features
    torch.testing.assert_close(found, recorded_moments(checkpoint, data, "actions").features)
    (kept,) = tmp_path.glob("packed-*.npy")
    # They are neither filtered again nor taken for those of another model or of other episodes.
    monkeypatch.setattr(recorded, "_filtered", lambda checkpoint, episodes: iter([np.zeros((18, 12), np.float32)]))
    assert recorded_moments(checkpoint, PackedData.load(path), "actions").features.equal(found)
    checkpoint.fingerprint = "another"
    assert not recorded_moments(checkpoint, PackedData.load(path), "actions").features.any()
    assert len(list(tmp_path.glob("packed-*.npy"))) == 2 and kept.is_file()


def test_what_is_not_known_of_recordings_is_left_out():
    data = line_episodes(count=2, steps=4)
    known = np.ones(10, bool)
    # An action of the first episode, and what stands at the first moment of the second, which no action led to.
    known[[2, 5]] = False
    rows, left = moments_and_left(replace(data, valid={"actions": known}))
    assert rows.tolist() == list(range(10)) and left.tolist() == [1, 0, 2, 1, 0, 4, 3, 2, 1, 0]


def test_dreams_begin_at_recorded_moments_as_well():
    checkpoint = line_checkpoint()
    joined = real_moments(checkpoint, line_episodes(), 30, seed=0)
    joined.check()
    assert len(checkpoint.contexts) < len(joined) <= len(checkpoint.contexts) + 30
    assert real_moments(checkpoint, None, 30, seed=0) is checkpoint.contexts
    assert real_moments(checkpoint, line_episodes(), 0, seed=0) is checkpoint.contexts


def test_the_cloning_loss_by_hand():
    moments = recorded_moments(line_checkpoint(), line_episodes(count=3, steps=5), "action-bins")
    torch.manual_seed(0)
    actor = LatentNetwork(12, (8,), "action-bins")
    later, rows = Later(actor, 3), torch.tensor([3, 7])
    numbers = later.all(actor, moments.features[rows])
    torch.testing.assert_close(numbers[:, 0], actor(moments.features[rows]))
    logs = [
        decision("action-bins", numbers[i, j][None], Spread()).log_prob(moments.decided[row + j][None])
        for i, (row, count) in enumerate([(3, 2), (7, 3)])
        for j in range(count)
    ]
    torch.testing.assert_close(cloning_loss(actor, later, moments, rows, Spread()), -torch.cat(logs).mean())


def test_the_pmpo_loss_and_its_gradient_by_hand():
    logs = torch.tensor([-1.0, -2.0, -3.0], requires_grad=True)
    divergence = torch.tensor([0.1, 0.2, 0.6], requires_grad=True)
    loss = pmpo_loss(logs, torch.tensor([5.0, -0.1, 0.0]), divergence, alpha=0.25, beta=0.4)
    # 0.75 / 1 * -2 - 0.25 / 2 * (-1 - 3) + 0.4 * 0.3
    torch.testing.assert_close(loss, torch.tensor(-1.5 + 0.5 + 0.12))
    loss.backward()
    torch.testing.assert_close(logs.grad, torch.tensor([-0.125, 0.75, -0.125]))
    torch.testing.assert_close(divergence.grad, torch.full((3,), 0.4 / 3))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_advantages_of_one_sign_only_give_numbers(sign):
    logs = torch.tensor([-1.0, -2.0])
    assert pmpo_loss(logs, sign * torch.ones(2), torch.zeros(2), 0.5, 0.3).isfinite()


def test_what_goes_worse_cannot_be_pushed_down_without_end():
    """A thousand steps on one decision that always goes worse: the loss stays where its bound is."""
    numbers = torch.zeros(1, 30, requires_grad=True)
    descent = torch.optim.SGD([numbers], 10.0)
    for _ in range(1000):
        actor = decision("discrete", numbers, Spread())
        loss = pmpo_loss(actor.log_prob(torch.tensor([3])), -torch.ones(1), torch.zeros(1), 0.5, 0.0)
        descent.zero_grad()
        loss.backward()
        descent.step()
    assert numbers.isfinite().all() and float(loss.detach()) >= 0.5 * np.log(0.01 / 30) - 1e-4


def test_densities_are_refused():
    with pytest.raises(ValueError, match="actions is targets, whose probabilities have no bound"):
        PMPOSettings(actions="targets")
    with pytest.raises(ValueError, match="conservatism compares with recorded episodes"):
        open_agent(
            LearnConfig(), DreamerSettings(**{**QUICK, "actions": "actions"}, conservatism=1.0), line_checkpoint()
        )


@pytest.fixture(scope="module")
def cloned():
    """Decisions of a clone of driving that steers to the left on average, at all places."""
    settings = CloningSettings(actions="action-bins", hidden=(32,), batch=256, learning_rate=1e-2)
    agent = open_agent(LearnConfig(agent="cloning"), settings, line_checkpoint(), line_episodes(steer=0.5))
    for number in range(60):
        told = agent.update(number)
    return agent, told


def test_cloning_does_as_was_done(cloned):
    agent, told = cloned
    moments = agent.moments
    numbers = agent.module.actor(moments.features)
    likely = decision("action-bins", numbers, Spread()).logs.exp().mean(0)
    known = moments.decided[moments.left > 0]
    for part in range(2):
        share = torch.bincount(known[:, part], minlength=21) / len(known)
        assert (likely[part] - share).abs().sum() < 0.2
    # Steering is drawn over what is as good as 12 bins; nothing is known better than that.
    assert told["cloning"] < 3.2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["action-bins", "discrete"])
def test_pmpo_improves_on_what_was_recorded(kind):
    settings = PMPOSettings(**QUICK, actions=kind, cloning=30, beta=0.05)
    agent = open_agent(LearnConfig(agent="pmpo"), settings, line_checkpoint(), line_episodes())
    for number in range(settings.cloning):
        agent.update(number)
    clone = np.abs(driven(agent.policy({})) - GOAL).mean()
    for number in range(settings.cloning, settings.cloning + 100):
        told = agent.update(number)
    better = np.abs(driven(agent.policy({})) - GOAL).mean()
    assert better < 0.15 < clone and told["divergence"] > 0


def test_a_strong_hold_keeps_to_what_was_cloned():
    settings = PMPOSettings(**QUICK, actions="action-bins", cloning=30, beta=100.0)
    agent = open_agent(LearnConfig(agent="pmpo"), settings, line_checkpoint(), line_episodes())
    for number in range(50):
        told = agent.update(number)
    assert told["divergence"] < 0.02


@pytest.mark.slow
def test_conservatism_brings_imagined_values_down():
    """Where only the left half was recorded, values of what is imagined elsewhere are to be lower."""
    values = []
    for weight in (0.0, 5.0):
        settings = DreamerSettings(**{**QUICK, "actions": "actions"}, conservatism=weight)
        agent = open_agent(LearnConfig(), settings, line_checkpoint(), line_episodes(steer=-1.0))
        for number in range(40):
            agent.update(number)
        features = agent.checkpoint.model.features({"x": torch.tensor([-1.0, 0.9])})
        left, right = agent.module.critic(agent.module.actor.inputs(features)).tolist()
        values.append(right - left)
    assert values[1] < values[0] - 0.5


def test_bins_are_nearest():
    assert decided_by("action-bins", np.array([[0.0, 1.0]]), np.zeros((1, 6))).tolist() == [[10, 20]]
