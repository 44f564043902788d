"""Heads: conditions in training, and losses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from learned_sim_env.training.transformer.clips import Clips
from learned_sim_env.training.transformer.head_loss import clip_features, head_loss, training_condition
from learned_sim_env.world_model.transformer.ego import moved, numbers
from learned_sim_env.world_model.transformer.model import DrivingTransformer
from tests.tiny_transformer import actions, driven, noise, tiny

# All of it trains or dreams: left out by `make test-fast`.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> DrivingTransformer:
    return tiny()


def clips(b: int, t: int) -> Clips:
    torch.manual_seed(0)
    known = torch.ones(b, t, dtype=torch.bool)
    ego, motion = 0.3 * torch.randn(b, t, 6), 0.1 * torch.randn(b, t, 3)
    return Clips(
        observations={},
        valid=known,
        actions=torch.rand(b, t, 2) * 2 - 1,
        ego=ego,
        motion=motion,
        terms=torch.rand(b, t, 4),
        events=torch.rand(b, t, 4) < 0.3,
        known=dict.fromkeys(("actions", "ego", "reward", "events"), known),
    )


def test_conditions_are_the_truth_or_what_follows_from_the_moment_before() -> None:
    some = clips(64, 8)
    torch.manual_seed(1)
    given, off = training_condition(some)
    exact = (off == 0).all(-1)
    assert exact[:, 0].all() and 0.4 < exact[:, 1:].float().mean() < 0.6
    truth = numbers(some.ego, some.motion)
    assert torch.equal(given.ego[exact], truth[exact]) and torch.equal(given.action, some.actions)
    # Where it follows it is wrong by what was added, and by the route's bend: here, random places are no route.
    followed = moved(some.ego[:, :-1, 4:], some.motion[:, 1:])
    output = some.ego[:, 1:, 4:] - off[:, 1:]
    wrong = (output - followed)[~exact[:, 1:]]
    assert (wrong.std(0) / torch.tensor([0.3, 0.05]) - 1).abs().max() < 0.2


def test_features_in_training_are_those_of_a_dream(model: DrivingTransformer) -> None:
    with torch.inference_mode():
        before = driven(model, 2, 3, 1)
        after = model.imagine(before, actions(2, 9), noise(model, 2, 9))
    given = training_condition(clips(2, 2))[0]._replace(
        action=torch.stack([s["conditions"][:, -1, :2] for s in (before, after)], 1),
        ego=torch.stack([s["conditions"][:, -1, 2:] for s in (before, after)], 1),
    )
    some = replace(
        clips(2, 2),
        actions=torch.stack([s["actions"][:, -1] for s in (before, after)], 1),
        motion=torch.stack([s["motions"][:, -1] for s in (before, after)], 1),
    )
    agents = torch.stack([s["agents"] for s in (before, after)], 1).unflatten(-1, (model.config.agents, -1))
    found = clip_features(model, agents, some, given)
    torch.testing.assert_close(found[:, 1], model.features(after))


def test_a_moment_says_what_follows_as_well(model: DrivingTransformer) -> None:
    """Changing the events of moment t changes the loss as often as moments may speak of it, and not past the end."""
    some = clips(1, 5)
    features = torch.randn(1, 5, model.latent_size)
    off = torch.zeros(1, 5, 2)
    assert model.heads.ahead == 2
    for t, speakers in ((0, [0]), (3, [3, 2])):
        events = some.events.clone()
        events[:, t] = ~events[:, t]
        gradients = []
        for changed in (some, replace(some, events=events)):
            x = features.clone().requires_grad_()
            head_loss(model, x, changed, off)["events"].backward()
            gradients.append(x.grad)
        assert (gradients[0] != gradients[1]).any(-1)[0].nonzero().flatten().tolist() == sorted(speakers)


def test_what_is_not_known_has_no_loss(model: DrivingTransformer) -> None:
    some, features = clips(1, 5), torch.randn(1, 5, model.latent_size)
    for name, silent in (("reward", "terms"), ("events", "events"), ("ego", "correction")):
        without = replace(some, known={**some.known, name: torch.zeros(1, 5, dtype=torch.bool)})
        parts = head_loss(model, features, without, torch.ones(1, 5, 2))
        assert [part for part, value in parts.items() if value == 0] == [silent]


def test_heads_learn_what_they_are_told() -> None:
    model = tiny().requires_grad_(True)
    some, features, off = clips(4, 6), torch.randn(4, 6, model.latent_size), 0.1 * torch.randn(4, 6, 2)
    optimizer = torch.optim.Adam(model.heads.parameters(), 3e-3)
    for _ in range(300):
        loss = sum(head_loss(model, features, some, off).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    output = model.heads(features)
    assert (model.heads.expected_terms(output) - some.terms[..., :3]).abs().mean() < 0.05
    assert ((model.heads.probabilities(output) > 0.5) == some.events).float().mean() > 0.98
    assert (output.correction - off).abs().mean() < 0.02
