"""The dynamics: what its tokens depend on, cache against no cache, and the sampler."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from learned_sim_env.world_model.transformer.config import SIZES
from learned_sim_env.world_model.transformer.dynamics import Condition, Dynamics, Prediction
from learned_sim_env.world_model.transformer.model import DrivingTransformer
from learned_sim_env.world_model.transformer.noise import normals
from learned_sim_env.world_model.transformer.sampler import clean_estimate, commit, direction, mixed, sample_frame


def clip(model: DrivingTransformer, rows: int, frames: int) -> tuple[Tensor, Tensor, Tensor, Condition, Tensor]:
    """Noisy tokens, their levels and strides, what is given, and noisy tokens of the frames before; all random."""
    torch.manual_seed(1)
    shape, last = (rows, frames), model.config.finest.bit_length() - 1
    noisy = torch.randn(*shape, model.tokenizer.count, model.config.channels)
    level, stride = torch.randint(model.config.finest, shape), torch.randint(last + 1, shape)
    known = torch.ones(shape, dtype=torch.bool)
    given = Condition(torch.rand(*shape, 2) * 2 - 1, known, torch.randn(*shape, 7), known)
    return noisy, level, stride, given, torch.randn(*shape, model.tokenizer.count, 2 * model.config.channels)


def changed(a: Prediction, b: Prediction) -> tuple[Tensor, Tensor]:
    """(T,) bool: in which frames of the first clip tokens and agent tokens differ."""
    return tuple((x != y)[0].flatten(1).any(1) for x, y in zip(a, b))


def test_agent_tokens_see_actions_and_motion(model: DrivingTransformer) -> None:
    noisy, level, stride, given, last = clip(model, 1, 4)
    before = model.dynamics(noisy, level, stride, given, last)
    for name in ("action", "ego"):
        other = getattr(given, name).clone()
        other[:, 2] = -other[:, 2]
        tokens, agents = changed(before, model.dynamics(noisy, level, stride, given._replace(**{name: other}), last))
        # Now and later, and never before.
        assert tokens.tolist() == agents.tolist() == [False, False, True, True]


def test_agent_tokens_see_frames_and_their_labels(model: DrivingTransformer) -> None:
    noisy, level, stride, given, last = clip(model, 1, 3)
    before = model.dynamics(noisy, level, stride, given, last)
    other = noisy.clone()
    other[:, 1, 5] += 1
    assert changed(before, model.dynamics(other, level, stride, given, last))[1].tolist() == [False, True, True]
    for labels in ((1 - level.clamp_max(1), stride), (level, 1 - stride.clamp_max(1))):
        assert changed(before, model.dynamics(noisy, *labels, given, last))[1].all()


@pytest.mark.parametrize("part", [slice(0, 32), slice(32, 64)], ids=["moved", "as it was"])
def test_all_tokens_see_those_of_the_frame_before(model: DrivingTransformer, part: slice) -> None:
    noisy, level, stride, given, before = clip(model, 1, 3)
    other = before.clone()
    other[:, 1, 5, part] += 1
    x = [model.dynamics(noisy, level, stride, given, z).clean for z in (before, other)]
    differs = (x[0] != x[1])[0].any(-1)
    assert differs[1:].all() and not differs[0].any()


@pytest.mark.parametrize("prediction", ["x", "v"])
def test_at_first_the_next_frame_is_the_moved_one(prediction: str) -> None:
    """But for the noise in it, and nearly; with "v" nothing is known of it."""
    torch.manual_seed(0)
    config = replace(SIZES["transformer-tiny"], prediction=prediction)
    network = Dynamics(4, config)
    clean, noisy = 0.4 * torch.randn(2, 3, 4, 32), torch.randn(2, 3, 4, 32)
    known = torch.ones(2, 3, dtype=torch.bool)
    given = Condition(torch.rand(2, 3, 2), known, torch.randn(2, 3, 7), known)
    level = stride = torch.zeros(2, 3, dtype=torch.int64)
    last = clean + 0.1
    before = mixed(torch.cat([clean, last], -1), torch.zeros(1), config.context_share)
    found = network(noisy, level, stride, given, before).clean
    assert ((found - clean).abs().max() < 0.05) == (prediction == "x")
    # A channel that is not kept is what the network says; one that is may be that of the frame as it was.
    with torch.no_grad():
        network.keep[:5] = 0
        network.leave.bias[32 + 8 :] += 20
    other = network(noisy, level, stride, given, before).clean
    assert (other[..., :5].abs().max() < 0.05) == (prediction == "x") and torch.equal(other[..., 5:8], found[..., 5:8])
    assert ((other - last)[..., 8:].abs().max() < 0.05) == (prediction == "x")


def test_what_a_frame_is_conditioned_on_enters_every_token(model: DrivingTransformer) -> None:
    """Before any layer."""
    noisy, level, stride, given, last = clip(model, 1, 1)
    network, count = model.dynamics, model.tokenizer.count

    def entered(level: Tensor, given: Condition) -> Tensor:
        return network._tokens(noisy, level, stride, network.condition_tokens(given), last)[0, 0, :count]

    before = entered(level, given)
    for changed in (
        entered(1 - level.clamp_max(1), given),
        entered(level, given._replace(action=-given.action)),
        entered(level, given._replace(ego=-given.ego)),
    ):
        assert (changed != before).any(-1).all()


def test_nothing_sees_agent_tokens(model: DrivingTransformer) -> None:
    noisy, level, stride, given, last = clip(model, 2, 4)
    before = model.dynamics(noisy, level, stride, given, last)
    agents = model.dynamics.agents
    with torch.no_grad():
        kept = agents.clone()
        agents.add_(torch.randn_like(agents))
        after = model.dynamics(noisy, level, stride, given, last)
        agents.copy_(kept)
    assert torch.equal(before.clean, after.clean) and not torch.equal(before.agents, after.agents)


def test_what_is_not_known_is_not_seen(model: DrivingTransformer) -> None:
    """Not even where it is NaN; and an unknown motion is not the same as standing still."""
    noisy, level, stride, given, last = clip(model, 1, 2)
    none = torch.zeros_like(given.action_known)
    lost = given._replace(action=torch.full_like(given.action, torch.nan), action_known=none)
    lost = lost._replace(ego=torch.full_like(given.ego, torch.nan), ego_known=none)
    other = lost._replace(action=given.action, ego=given.ego)
    output = [model.dynamics(noisy, level, stride, g, last) for g in (lost, other, given)]
    assert torch.equal(output[0].clean, output[1].clean) and not torch.equal(output[0].clean, output[2].clean)
    still = given._replace(ego=torch.zeros_like(given.ego))
    unknown = still._replace(ego_known=none)
    assert not torch.equal(*(model.dynamics(noisy, level, stride, g, last).clean for g in (still, unknown)))


def test_cached_equals_uncached_beyond_the_ring(model: DrivingTransformer) -> None:
    frames = 2 * model.config.window + 5
    noisy, level, stride, given, last = clip(model, 2, frames)
    together = model.dynamics(noisy, level, stride, given, last)
    past = model.dynamics.empty_past(2)
    for t in range(frames):
        condition = model.dynamics.condition_tokens(Condition(*(x[:, t] for x in given)))
        output, keys, values = model.dynamics.next(noisy[:, t], level[:, t], stride[:, t], condition, last[:, t], past)
        past = past.then(keys, values)
        for one, all_of_them in zip(output, together):
            torch.testing.assert_close(one, all_of_them[:, t], atol=2e-5, rtol=1e-4)


def test_a_dream_is_the_same_without_a_cache(model: DrivingTransformer) -> None:
    """K steps and a commit for each of many frames, against whole clips computed anew at every step."""
    network, c, frames = model.dynamics, model.config, model.config.window + 4
    *_, given, before = clip(model, 2, frames)
    torch.manual_seed(2)
    start, veil = torch.randn(2, 2, frames, network.count, c.channels).unbind()
    last = c.finest.bit_length() - 1
    past, clean, shown = network.empty_past(2), [], []
    for t in range(frames):
        condition = network.condition_tokens(Condition(*(x[:, t] for x in given)))
        z = sample_frame(network, start[:, t], before[:, t], condition, past, c.steps)
        _, past = commit(network, z, veil[:, t], before[:, t], condition, past)

        y, so_far = start[:, t], Condition(*(x[:, : t + 1] for x in given))
        level = torch.full((2, t + 1), c.context_level)
        stride = torch.full((2, t + 1), last)
        for k in range(c.steps):
            level[:, -1], stride[:, -1] = k * c.finest // c.steps, c.steps.bit_length() - 1
            output = network(torch.stack([*shown, y], 1), level, stride, so_far, before[:, : t + 1]).clean[:, -1]
            y = y + (output.clamp(-1, 1) - y) / (1 - k / c.steps) / c.steps
        clean.append(y.clamp(-1, 1))
        # From the cache's own frames, so that what is compared is one frame.
        tau = c.context_level / c.finest
        shown.append((1 - tau) * veil[:, t] + tau * z)
        torch.testing.assert_close(z, clean[-1], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("prediction", ["x", "v"])
@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_a_network_that_knows_the_truth_gets_there_in_any_number_of_steps(prediction: str, steps: int) -> None:
    truth, start = torch.rand(2, 4, 32) * 2 - 1, torch.randn(2, 4, 32)
    asked = []

    class Oracle(Dynamics):
        def next(self, noisy, level, stride, condition, before, past):  # type: ignore[no-untyped-def]
            asked.append((int(level[0]) / self.config.finest, 2.0 ** -int(stride[0])))
            tau = asked[-1][0]
            torch.testing.assert_close(noisy, mixed(truth, start, tau))
            output = truth if prediction == "x" else (truth - noisy) / (1 - tau)
            return Prediction(output, noisy), noisy, noisy

    network = Oracle(4, replace(SIZES["transformer-tiny"], prediction=prediction, finest=8))
    found = sample_frame(network, start, start, torch.zeros(2, 2, 64), network.empty_past(2), steps)
    torch.testing.assert_close(found, truth)
    assert asked == [(k / steps, 1 / steps) for k in range(steps)]


def test_generated_tokens_are_clamped() -> None:
    wild = torch.tensor([5.0, -7.0, 0.5])
    assert direction(torch.zeros(3), wild, 0.5).tolist() == [2.0, -2.0, 1.0]
    assert clean_estimate(wild, torch.ones(3), 0.75, "v").tolist() == [2.25, -0.75, 1.125]


def test_normals_follow_their_distribution_and_have_no_end() -> None:
    every = torch.arange(0, 2**24, 97, dtype=torch.float32) / 2**24
    found = normals(every)
    assert abs(found.mean()) < 1e-3 and abs(found.std() - 1) < 1e-3 and found.abs().max() < 6
    ends = normals(torch.tensor([0.0, 0.5, 1 - 2.0**-24]))
    assert ends.isfinite().all() and abs(ends[1]) < 1e-6 and torch.equal(ends[0], -ends[2])
    assert (found.diff() >= 0).all()
