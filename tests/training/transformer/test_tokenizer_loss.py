"""The tokenizer's loss."""

from __future__ import annotations

import pytest
import torch

from learned_sim_env.spec.modality import BEV, EGO, FRONT, ROUTE
from learned_sim_env.training.transformer.tokenizer_loss import (
    CLASS_WEIGHTS,
    EDGES,
    MASKED,
    MASKED_WEIGHT,
    NOISE,
    VECTOR,
    hidden_patches,
    normalised,
    reconstruction,
    tokenizer_loss,
)
from learned_sim_env.world_model.transformer.config import SIZES
from learned_sim_env.world_model.transformer.convolutions import Block
from learned_sim_env.world_model.transformer.tokenizer import Tokenizer

# All of it trains or dreams: left out by `make test-fast`.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Of every kind of modality at once, two vectors among them."""
    torch.manual_seed(0)
    return Tokenizer([BEV, FRONT, ROUTE, EGO], SIZES["transformer-tiny"]).eval()


def frames(b: int, t: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {
        "bev": torch.randint(9, (b, t, 64, 64), dtype=torch.uint8),
        "front": torch.randint(256, (b, t, 64, 96, 3), dtype=torch.uint8),
        "route": 40 * torch.rand(b, t, 10, 2),
        "ego": torch.randn(b, t, 6),
    }


def test_each_observation_hides_another_share_of_its_patches(tokenizer: Tokenizer) -> None:
    torch.manual_seed(0)
    hidden = hidden_patches(tokenizer, (700, 4), torch.device("cpu"))
    assert {name: value.shape[2] for name, value in hidden.items()} == {"bev": 64, "front": 96, "route": 1, "ego": 1}
    masked = torch.stack([value.any(-1) for value in hidden.values()]).any(0).flatten()
    assert abs(masked.float().mean() - MASKED) < 0.03
    shares = hidden["front"].float().mean(-1).flatten()[masked]
    assert abs(shares.mean() - 0.45) < 0.02 and shares.min() < 0.05 and 0.8 < shares.max() < 1
    # Uniform: its quartiles are where they should be.
    assert (shares.quantile(torch.tensor([0.25, 0.75])) - torch.tensor([0.225, 0.675])).abs().max() < 0.04
    assert (
        abs(float(torch.corrcoef(torch.stack([shares, hidden["bev"].float().mean(-1).flatten()[masked]]))[0, 1])) < 0.1
    )


def test_each_part_is_divided_by_its_root_mean_square() -> None:
    errors, counts = torch.tensor([3.0, 4.0, 100.0], requires_grad=True), torch.tensor([True, True, False])
    loss = normalised(errors, counts)
    torch.testing.assert_close(loss, torch.tensor(3.5 / 12.5**0.5))
    loss.backward()
    torch.testing.assert_close(errors.grad, torch.tensor([0.5, 0.5, 0]) / 12.5**0.5)
    # However large errors are, parts weigh the same.
    torch.testing.assert_close(normalised(1000 * errors, counts), loss)


def test_the_parts_by_hand(tokenizer: Tokenizer) -> None:
    truth = {name: value[0] for name, value in frames(1, 2).items()}
    output = torch.zeros(2, 64, 96, 3)
    target = truth["front"].float() / 127.5 - 1
    parts = reconstruction(tokenizer, "front", output, truth["front"])
    assert [weight for weight, _ in parts.values()] == [1.0, EDGES]
    torch.testing.assert_close(parts["front"][1], target.square().mean((1, 2, 3)))
    down, right = target[:, 1:] - target[:, :-1], target[:, :, 1:] - target[:, :, :-1]
    torch.testing.assert_close(parts["front_edges"][1], down.square().mean((1, 2, 3)) + right.square().mean((1, 2, 3)))

    even = reconstruction(tokenizer, "bev", torch.zeros(2, 64, 64, 9), truth["bev"])["bev"][1]
    weights = torch.tensor([CLASS_WEIGHTS.get(int(c), 1.0) for c in truth["bev"].flatten()]).view(2, -1)  # type: ignore[call-overload]
    torch.testing.assert_close(even, weights.mean(1) * torch.log(torch.tensor(9.0)))

    weight, route = reconstruction(tokenizer, "route", torch.zeros(2, 10, 2), truth["route"])["route"]
    assert weight == VECTOR
    torch.testing.assert_close(route, torch.log1p(truth["route"]).square().mean((1, 2)))


def test_masked_moments_are_divided_by_their_own_root_mean_square(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that errors of what is hidden, however large, do not outweigh those of what is shown."""
    hidden = {name: torch.zeros(1, 4, tokenizer.codec(name).patches, dtype=torch.bool) for name in tokenizer.names}
    hidden["front"][0, 2:, ::2] = True
    monkeypatch.setattr("learned_sim_env.training.transformer.tokenizer_loss.hidden_patches", lambda *_: hidden)
    observations, valid = frames(1, 4), torch.ones(1, 4, dtype=torch.bool)
    total, parts = tokenizer_loss(tokenizer, observations, valid)
    decoded = tokenizer.decode(tokenizer.encode(observations, hidden)[0], tokenizer.names)
    shown, expected = torch.tensor([True, True, False, False]), torch.zeros(())
    for name in tokenizer.names:
        errors = reconstruction(tokenizer, name, decoded[name], observations[name][0])
        for part, (weight, error) in errors.items():
            expected = expected + weight * (normalised(error, shown) + MASKED_WEIGHT * normalised(error, ~shown))
            torch.testing.assert_close(parts[part], error[:2].mean())
    torch.testing.assert_close(total, expected)


def test_moments_that_are_not_valid_do_not_count(tokenizer: Tokenizer) -> None:
    observations, valid = frames(2, 3), torch.ones(2, 3, dtype=torch.bool)
    valid[1] = False
    losses = []
    for changed in (False, True):
        if changed:
            observations = {name: torch.cat([v[:1], v[1:] * 0]) for name, v in observations.items()}
        torch.manual_seed(3)
        losses.append(tokenizer_loss(tokenizer, observations, valid)[1])
    for name, value in losses[0].items():
        torch.testing.assert_close(value, losses[1][name])


def test_only_while_it_trains_tokens_are_noisy(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    observations, valid, decoded = frames(2, 2), torch.ones(2, 2, dtype=torch.bool), []
    decode = tokenizer.decode
    monkeypatch.setattr(tokenizer, "decode", lambda tokens, names: decoded.append(tokens) or decode(tokens, names))
    for training in (False, True, True):
        tokenizer.train(training)
        torch.manual_seed(3)
        tokenizer_loss(tokenizer, observations, valid)
    tokenizer.eval()
    assert torch.equal(decoded[1], decoded[2])
    assert ((decoded[1] - decoded[0]).std() / NOISE - 1).abs() < 0.05


def test_every_weight_learns() -> None:
    """But for those before convolutions that add nothing at first."""
    torch.manual_seed(0)
    tokenizer = Tokenizer([BEV, FRONT, ROUTE, EGO], SIZES["transformer-tiny"])
    for module in tokenizer.modules():
        if isinstance(module, Block):
            torch.nn.init.normal_(module.second.weight, std=0.02)
    total, parts = tokenizer_loss(tokenizer, frames(2, 3), torch.ones(2, 3, dtype=torch.bool))
    assert set(parts) == {"bev", "front", "front_edges", "route", "ego"}
    total.backward()
    for name, parameter in tokenizer.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name
