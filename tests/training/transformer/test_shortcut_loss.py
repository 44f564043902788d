"""Shortcut forcing: noise of frames, the bootstrap's target, and what the loss reaches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from learned_sim_env.training.transformer.shortcut_loss import (
    ForcingConfig,
    Noise,
    bootstrapped,
    drawn_noise,
    shortcut_loss,
)
from learned_sim_env.world_model.transformer.config import SIZES, TransformerConfig
from learned_sim_env.world_model.transformer.dynamics import Condition, Dynamics, Prediction
from learned_sim_env.world_model.transformer.sampler import direction

# All of it trains or dreams: left out by `make test-fast`.
pytestmark = pytest.mark.slow

CONFIG = replace(SIZES["transformer-tiny"], finest=8)
CPU = torch.device("cpu")
FINEST = 3


def given(b: int, t: int, labelled: bool = True) -> Condition:
    torch.manual_seed(4)
    known = torch.full((b, t), labelled)
    return Condition(torch.rand(b, t, 2), known, torch.randn(b, t, 7), known)


class Known(Dynamics):
    """Says a known function of what it is asked: gain times the tokens, plus something of tau and d."""

    def __init__(self, config: TransformerConfig = CONFIG):
        super().__init__(1, config)
        self.gain = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, noisy: Tensor, level: Tensor, stride: Tensor, given: Condition, before: Tensor) -> Prediction:
        tau, d = level / 8, 2.0**-stride
        return Prediction(self.gain * noisy + (0.1 * tau - 0.2 * d)[..., None, None], noisy)


def test_tau_and_d_of_frames() -> None:
    torch.manual_seed(0)
    noise = drawn_noise((400, 50), CONFIG, ForcingConfig(context=0.0, coarse=1.0), CPU)
    assert not noise.past.any() and noise.coarse.all()
    # d of 1 / U{1, 2, 4, 8}.
    shares = torch.bincount(noise.stride.flatten(), minlength=4) / noise.stride.numel()
    assert (shares - 0.25).abs().max() < 0.02
    for stride in range(4):
        levels = noise.level[noise.stride == stride]
        # tau of U{0, d .. 1 - d}.
        counts = torch.bincount(levels, minlength=8) / len(levels)
        steps = 2**stride
        expected = torch.tensor([1 / steps if level % (8 // steps) == 0 else 0.0 for level in range(8)])
        assert (counts - expected).abs().max() < 0.02
    # Frames of a clip have noise of their own.
    pairs = torch.corrcoef(noise.level[:, :2].T.float())
    assert abs(float(pairs[0, 1])) < 0.15


def test_shares_of_clips_are_as_frames_of_the_past_or_of_the_finest_step() -> None:
    noise = drawn_noise((16, 5), CONFIG, ForcingConfig(context=0.25, coarse=0.5), CPU)
    assert int(noise.past.sum()) == 4 and int(noise.coarse.sum()) == 6 and not (noise.past & noise.coarse).any()
    # tau of 0.9 is 7 of 8 on this grid, and the label is the finest step's: as the sampler commits frames.
    assert (noise.level[noise.past] == 7).all() and CONFIG.context_level == 7
    assert (noise.stride[~noise.coarse] == FINEST).all()


def test_the_bootstraps_target_by_hand() -> None:
    """A frame at tau = 0.25, d = 0.25, of which two steps of 0.125 are gone; one at the finest step; one at d = 1."""
    network = Known()
    noisy = torch.tensor([0.4, -0.2, 0.8]).view(1, 3, 1, 1).expand(1, 3, 1, 32)
    clean = torch.full_like(noisy, 0.3)
    level, stride = torch.tensor([[2, 5, 0]]), torch.tensor([[2, 3, 0]])
    found = bootstrapped(network, clean, noisy, level, stride, given(1, 3), clean)

    # z = 0.4: f = 0.5 * 0.4 + 0.1 * 0.25 - 0.2 * 0.125 = 0.2, b' = (0.2 - 0.4) / 0.75; z' = 0.4 + b' / 8;
    # f = 0.5 * 0.36667 + 0.1 * 0.375 - 0.025 = 0.195833, b'' = (0.195833 - 0.366667) / 0.625.
    first = (0.2 - 0.4) / 0.75
    second = (0.5 * (0.4 + first / 8) + 0.0375 - 0.025 - (0.4 + first / 8)) / 0.625
    assert abs(first + 0.266667) < 1e-5 and abs(second + 0.273333) < 1e-5
    torch.testing.assert_close(found[0, 0], torch.full((1, 32), 0.4 + 0.75 * (first + second) / 2))
    torch.testing.assert_close(found[0, 1], clean[0, 1])
    # z = 0.8: f = 0.4 - 0.1 = 0.3, b' = -0.5; z' = 0.55 at tau = 0.5: f = 0.275 + 0.05 - 0.1, b'' = -0.65.
    torch.testing.assert_close(found[0, 2], torch.full((1, 32), 0.8 - (0.5 + 0.65) / 2))
    assert not found.requires_grad


def test_the_bootstraps_target_is_where_the_sampler_gets() -> None:
    """One large step from noise to the target's direction is two steps of the sampler, in a clip of one frame."""
    network, noisy = Known(), torch.randn(1, 1, 1, 32)
    half = bootstrapped(network, noisy, noisy, torch.tensor([[0]]), torch.tensor([[0]]), given(1, 1), noisy)
    z = noisy
    for level, tau in ((0, 0.0), (4, 0.5)):
        output = network(z, torch.tensor([[level]]), torch.tensor([[1]]), given(1, 1), noisy).clean
        z = z + direction(z, output, tau) / 2
    torch.testing.assert_close(half, z)


@pytest.mark.parametrize("ramp", [True, False])
@pytest.mark.parametrize("prediction", ["x", "v"])
def test_the_loss_by_hand(prediction: str, ramp: bool) -> None:
    network = Known(replace(CONFIG, prediction=prediction))
    level, stride = torch.tensor([[0, 2, 7]]), torch.full((1, 3), FINEST)
    none = torch.zeros(1, dtype=torch.bool)
    clean, valid, some = torch.rand(1, 3, 1, 32), torch.tensor([[True, True, True]]), given(1, 3)
    torch.manual_seed(5)
    loss, _ = shortcut_loss(network, clean, clean, some, valid, Noise(level, stride, none, none), ramp)
    torch.manual_seed(5)
    drawn = CONFIG.noise * torch.randn_like(clean)
    expected = []
    for t, tau in enumerate((0.0, 0.25, 0.875)):
        z = (1 - tau) * drawn[0, t] + tau * clean[0, t]
        output = 0.5 * z + 0.1 * tau - 0.2 / 8
        truth = clean[0, t] if prediction == "x" else clean[0, t] - drawn[0, t]
        expected.append((0.9 * tau + 0.1 if ramp else 1.0) * (output - truth).square().mean() / CONFIG.noise**2)
    torch.testing.assert_close(loss, torch.stack(expected).mean())


def test_only_valid_frames_count() -> None:
    network, none = Known(), torch.zeros(1, dtype=torch.bool)
    noise = Noise(torch.tensor([[2, 5]]), torch.full((1, 2), FINEST), none, none)
    clean, valid = torch.rand(1, 2, 1, 32), torch.tensor([[True, False]])
    losses = []
    for last in (0.0, 9.0):
        torch.manual_seed(0)
        losses.append(
            shortcut_loss(network, torch.cat([clean[:, :1], clean[:, 1:] + last], 1), clean, given(1, 2), valid, noise)[
                0
            ]
        )
    assert losses[0] == losses[1]


@pytest.mark.parametrize("labelled", [True, False])
def test_mere_video_has_no_gradient_into_actions(labelled: bool) -> None:
    """The embedding of no action learns from it, and what an action adds to it does not."""
    torch.manual_seed(0)
    network = Dynamics(4, CONFIG)
    noise = drawn_noise((4, 6), CONFIG, ForcingConfig(context=0.25, coarse=1.0), CPU)
    clean, valid = torch.rand(4, 6, 4, 32) * 2 - 1, torch.ones(4, 6, dtype=torch.bool)
    before = torch.cat([clean.flip(1), clean.roll(1, 1)], -1)
    output = shortcut_loss(network, clean, before, given(4, 6, labelled), valid, noise)
    output[0].backward()
    weights = [network.action.weight, *network.ego.parameters()]
    assert all((p.grad is not None and p.grad.abs().sum() > 0) == labelled for p in weights)
    assert network.no_action.grad.abs().sum() > 0
    assert (network.no_ego.grad.abs().sum() > 0) != labelled


def test_mixed_clips_learn_actions_from_those_that_have_them() -> None:
    """Labelled clips alone decide: the gradient is as if the others had other actions."""
    network = Dynamics(4, CONFIG)
    clean, valid = torch.rand(4, 6, 4, 32) * 2 - 1, torch.ones(4, 6, dtype=torch.bool)
    known = torch.tensor([True, True, False, False])[:, None].expand(4, 6)
    gradients = []
    for other in (0.0, torch.nan):
        some = given(4, 6)
        action = torch.where(known[..., None], some.action, other)
        torch.manual_seed(0)
        noise = drawn_noise((4, 6), CONFIG, ForcingConfig(), CPU)
        network.zero_grad()
        given_some = some._replace(action=action, action_known=known)
        shortcut_loss(network, clean, torch.cat([clean.flip(1), clean], -1), given_some, valid, noise)[0].backward()
        gradients.append(network.action.weight.grad.clone())
    assert gradients[0].abs().sum() > 0 and torch.equal(*gradients)
