"""The tokenizer: what its tokens depend on, and observations encoded and decoded."""

from __future__ import annotations

import pytest
import torch

from learned_sim_env.spec import Modality
from learned_sim_env.spec.modality import BEV, FRONT, LEFT, ROUTE
from learned_sim_env.world_model.transformer.codecs import ModalityCodec
from learned_sim_env.world_model.transformer.config import SIZES
from learned_sim_env.world_model.transformer.model import DrivingTransformer
from learned_sim_env.world_model.transformer.tokenizer import Tokenizer
from tests.tiny_transformer import some


def clip(model: DrivingTransformer, rows: int, frames: int) -> dict[str, torch.Tensor]:
    """Observations of successive moments, (rows, frames, ...)."""
    moments = [some(model, rows, t) for t in range(frames)]
    return {name: torch.stack([m[name] for m in moments], 1) for name in model.tokenizer.names}


def test_sixteen_to_twenty_four_tokens_a_view(model: DrivingTransformer) -> None:
    cells = {name: model.tokenizer.codec(name).cells for name in model.tokenizer.names}
    assert cells == {"front": 24, "left": 24, "right": 24, "route": 1, "bev": 16}
    tokens = model.tokenizer.encode(clip(model, 2, 3))
    assert tokens.shape == (2, 3, 89, 32) and tokens.abs().max() <= 1


def test_the_encoder_is_causal_and_its_window_ends(model: DrivingTransformer) -> None:
    observations = clip(model, 1, 5)
    before = model.tokenizer.encode(observations)
    other = {**observations, "front": observations["front"].clone()}
    other["front"][:, 1] = 255 - other["front"][:, 1]
    changed = (model.tokenizer.encode(other) != before)[0].any(-1)
    # Of the frame itself all tokens see the front view; of the one after it those of the window.
    assert changed[1].all() and changed[2].any() and not changed[[0, 3, 4]].any()


def test_one_frame_at_a_time_is_the_same_as_all_at_once(model: DrivingTransformer) -> None:
    observations = clip(model, 2, 5)
    together = model.tokenizer.encode(observations)
    with torch.inference_mode():
        state = model.initial(2)
        for t in range(5):
            seen = {name: value[:, t] for name, value in observations.items()}
            state = model.observe(state, torch.zeros(2, 2), {**seen, "ego": torch.zeros(2, 6)})
            torch.testing.assert_close(state["tokens"][:, -1].float(), together[:, t], atol=1e-3, rtol=0)


def test_what_is_hidden_does_not_matter(model: DrivingTransformer) -> None:
    observations = clip(model, 1, 1)
    hidden = {
        name: torch.zeros(1, 1, model.tokenizer.codec(name).patches, dtype=torch.bool) for name in model.tokenizer.names
    }
    hidden["left"][...] = True
    before = model.tokenizer.encode(observations, hidden)
    other = {**observations, "left": 255 - observations["left"]}
    assert torch.equal(model.tokenizer.encode(other, hidden), before)
    assert not torch.equal(model.tokenizer.encode(observations), before)


def test_one_modality_is_decoded_without_the_others(model: DrivingTransformer) -> None:
    """Bit for bit as when all are: patches see tokens and their own modality alone."""
    tokens = torch.rand(2, model.tokenizer.count, 32) * 2 - 1
    every = model.tokenizer.drawn(tokens, model.draws)
    assert list(every) == list(model.draws)
    for name, value in every.items():
        m = model.contract.modality(name)
        assert value.shape == (2, *m.shape) and value.dtype == (torch.float32 if m.kind == "vector" else torch.uint8)
        alone = model.tokenizer.drawn(tokens, (name,))
        assert list(alone) == [name]
        torch.testing.assert_close(alone[name].float(), value.float(), atol=1, rtol=1e-4)
    # Every token matters to every modality.
    for name in model.draws:
        for token in (0, 30, 80, 88):
            other = tokens.clone()
            other[:, token] = -other[:, token]
            output = [model.tokenizer.decode(x, (name,))[name] for x in (tokens, other)]
            assert not torch.equal(*output)


@pytest.mark.parametrize("modality", [FRONT, BEV, ROUTE], ids=lambda m: m.name)
def test_a_sense_cuts_and_pastes_in_the_same_order(modality: Modality) -> None:
    """With a reader that undoes the embedding, what comes out is what went in."""
    codec = ModalityCodec(modality, 1, 8, 2, 64, 32)
    truth = some_of(modality)
    numbers = codec.numbers(truth)
    assert numbers.shape[:2] == (3, codec.patches)
    codec.read = torch.nn.Identity()
    torch.nn.init.zeros_(codec.uncode.bias)
    back = codec.observed(codec.pictured(numbers, torch.zeros(3, codec.cells, 32)))
    torch.testing.assert_close(back.float(), truth.float(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("modality", [FRONT, BEV, ROUTE], ids=lambda m: m.name)
def test_the_straight_way_goes_through_cells(modality: Modality) -> None:
    """With weights that undo each other it gives what went in, but for patches that are hidden: the middle."""
    numbers = ModalityCodec(modality, 1, 8, 2, 64, 32).numbers(some_of(modality))
    codec = ModalityCodec(modality, 1, 8, 2, 64, numbers[0].numel() // (24 if modality is FRONT else 16))
    if modality is ROUTE:
        codec = ModalityCodec(modality, 1, 8, 2, 64, numbers[0].numel())
    codec.middle.fill_(0.25)
    for layer in (codec.code, codec.uncode):
        torch.nn.init.eye_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    hidden = torch.zeros(3, codec.patches, dtype=torch.bool)
    hidden[:, -1] = True
    tokens = ((codec.coded(numbers, hidden) + codec.middle) / 100).tanh()
    codec.uncode.weight.data *= 100
    expected = numbers.masked_fill(hidden[..., None], 0.25)
    codec.read = torch.nn.Identity()
    back = codec.pictured(torch.zeros_like(numbers), tokens)
    torch.testing.assert_close(back, codec.pictured(expected, torch.zeros_like(tokens)))


def test_cells_are_squares_of_patches() -> None:
    """A cell gathers the patches that lie next to each other, and scatters to the same."""
    codec = ModalityCodec(FRONT, 1, 8, 2, 1, 32)
    rows, columns = codec.grid
    numbers = torch.arange(codec.patches).view(1, -1, 1).float()
    codec.gather = codec.spread = torch.nn.Identity()
    torch.nn.init.zeros_(codec.place)
    cells = numbers.view(1, rows // 2, 2, columns // 2, 2).transpose(2, 3).reshape(1, codec.cells, 4)
    assert torch.equal(codec.scattered(cells, 0), numbers)
    assert cells[0, 0].tolist() == [0, 1, columns, columns + 1]


def test_cameras_share_all_weights_but_their_places() -> None:
    one, two = (
        sum(p.numel() for p in Tokenizer(cameras, SIZES["transformer-tiny"]).parameters())
        for cameras in ([FRONT], [FRONT, LEFT])
    )
    width = SIZES["transformer-tiny"].tokenizer_width
    assert two - one == (96 + 24) * width


def test_pictures_that_cells_do_not_fill_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'front'.*cannot be cut into squares of 40"):
        ModalityCodec(FRONT, 1, 8, 5, 32, 32)


def some_of(modality: Modality) -> torch.Tensor:
    torch.manual_seed(0)
    if modality.kind == "vector":
        return 40 * torch.randn(3, *modality.shape)
    return torch.randint(9 if modality.kind == "classes" else 256, (3, *modality.shape), dtype=torch.uint8)
