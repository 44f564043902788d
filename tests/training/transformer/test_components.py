"""The tokenizer's beginning: principal components, as a plain decomposition has them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.data.packed import PackedData
from learned_sim_env.training.batches import WindowSampler
from learned_sim_env.training.transformer.components import FALL, FIRST, begin_with_components
from learned_sim_env.world_model.registry import model_of_size
from learned_sim_env.world_model.transformer.tokenizer import Tokenizer
from tests.data.recordings import CONTRACT, recording

# Frames of the front camera: what few patterns make of all of its cells, and a little noise.
PATTERNS = 5


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    rng = np.random.default_rng(0)
    patterns = rng.normal(0, 1, (PATTERNS, 16 * 16 * 3)) / np.arange(1, PATTERNS + 1)[:, None]
    cells = 128 + 20 * rng.normal(0, 1, (61 * 24, PATTERNS)) @ patterns + rng.normal(0, 1, (61 * 24, 16 * 16 * 3))
    cells = cells.clip(0, 255).reshape(61, 4, 6, 16, 16, 3).swapaxes(2, 3)
    return cells.reshape(61, 64, 96, 3).round().astype(np.uint8)


@pytest.fixture(scope="module")
def begun(frames: np.ndarray) -> Tokenizer:
    episode = recording(1, 60, modalities=("front", "bev", "ego"))
    episode.observations["front"][:] = frames
    data = PackedData.of([episode], CONTRACT.fingerprints())
    tokenizer = model_of_size("transformer-tiny", CONTRACT, modalities=("front", "bev")).tokenizer
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    begin_with_components(tokenizer, WindowSampler(data, 1, 0, 0.1, ("front", "bev")).sample(400, 0, 0))
    assert torch.equal(torch.random.get_rng_state(), before), "chance of others is left as it was"
    return tokenizer.requires_grad_(False)


def test_pictures_come_back_as_well_as_by_so_many_components(begun: Tokenizer, frames: np.ndarray) -> None:
    view = torch.from_numpy(recording(1, 60).observations["bev"])
    tokens = begun.encode({"front": torch.from_numpy(frames)[None], "bev": view[None]})[0]
    drawn = begun.drawn(tokens, ("front", "bev"))
    error = np.abs(drawn["front"].numpy().astype(float) - frames)
    # Noise of one level is not in the patterns.
    assert error.mean() < 1.2
    assert (drawn["bev"] == view).float().mean() > 0.9
    # The first number of a token spreads as it was told to, others less, and none is at its bounds.
    spread = tokens[:, :24].reshape(-1, 32).atanh().std(0)
    assert abs(spread[0] / FIRST - 1) < 0.1 and (spread[:PATTERNS].diff() < 0.02).all() and tokens.abs().max() < 1
    assert spread[PATTERNS - 1] == pytest.approx(FIRST * (1 / PATTERNS) ** FALL, rel=0.15)


def test_layers_add_nothing_at_first_and_learn(begun: Tokenizer, frames: np.ndarray) -> None:
    other = model_of_size("transformer-tiny", CONTRACT, modalities=("front", "bev")).tokenizer
    other.load_state_dict(begun.state_dict())
    for layer in (*other.encoder, *other.decoder, other.before):
        layer.feed_forward.fall.weight.data.normal_()
    shown = {"front": torch.from_numpy(frames)[None, :2], "bev": torch.zeros(1, 2, 64, 64, dtype=torch.uint8)}
    tokens = begun.encode(shown)
    assert torch.equal(other.encode(shown), tokens)
    decoded = [t.decode(tokens[0], ("front",))["front"] for t in (begun, other)]
    assert torch.equal(*decoded)
    other.requires_grad_(True).decode(tokens[0], ("front",))["front"].square().sum().backward()
    assert other.codec("front").read.weight.grad is not None and other.codec("front").read.weight.grad.abs().sum() > 0
