"""The tokenizer: what its tokens depend on, and observations encoded and decoded."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from learned_sim_env.spec import Modality
from learned_sim_env.spec.modality import BEV, FRONT, LEFT, ROUTE
from learned_sim_env.world_model.layers import shuffled, unshuffled
from learned_sim_env.world_model.registry import model_of_size
from learned_sim_env.world_model.transformer.codecs import PictureCodec, VectorCodec, codec_of, symlog
from learned_sim_env.world_model.transformer.config import SIZES
from learned_sim_env.world_model.transformer.convolutions import Block
from learned_sim_env.world_model.transformer.model import DrivingTransformer
from learned_sim_env.world_model.transformer.tokenizer import Tokenizer
from tests.tiny_transformer import CONTRACT, driven, some


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


@torch.inference_mode()
def test_one_modality_is_decoded_without_the_others(model: DrivingTransformer) -> None:
    """As when all are, but for what is rounded: cameras of a row are drawn together."""
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


@torch.inference_mode()
def test_frames_with_nothing_before_them_are_those_that_clips_begin_with(model: DrivingTransformer) -> None:
    observations = clip(model, 3, 2)
    first = {name: value[:, 0] for name, value in observations.items()}
    alone = model.tokenizer.encode_alone(first)
    assert alone.shape == (3, model.tokenizer.count, 32)
    torch.testing.assert_close(alone, model.tokenizer.encode(observations)[:, 0])
    assert torch.equal(model.tokenizer.encode_alone({name: value[:1] for name, value in first.items()}), alone[:1])


@torch.inference_mode()
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("size", ["transformer-tiny", "transformer-small"])
def test_frames_are_encoded_and_drawn_alike_alone_and_among_others(size: str, dtype: torch.dtype, threads: int) -> None:
    """Bit for bit, in the sizes that are used."""
    torch.manual_seed(0)
    model = model_of_size(size, CONTRACT).eval().requires_grad_(False)
    for module in model.tokenizer.modules():
        if isinstance(module, Block):
            torch.nn.init.normal_(module.second.weight, std=0.02)
    model = model.in_bfloat16() if dtype == torch.bfloat16 else model
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for rows in (2, 3, 5):
            state = driven(model, rows, 2, 0)
            alone = driven(model, 1, 2, 0)
            assert torch.equal(state["tokens"][:1], alone["tokens"])
            shown, one = model.draw(state, model.draws)[0], model.draw(alone, model.draws)[0]
            assert all(torch.equal(shown[name][:1], one[name]) for name in shown)
            again = [model.tokenizer.encode_alone(drawn) for drawn in (shown, one)]
            assert torch.equal(again[0][:1], again[1])
    finally:
        torch.set_num_threads(before)


def test_squares_become_one_place_and_back() -> None:
    picture = torch.arange(8 * 12).view(1, 8, 12, 1)
    squares = unshuffled(picture, 4)
    assert squares.shape == (1, 2, 3, 16) and torch.equal(squares[0, 1, 2].view(4, 4), picture[0, 4:, 8:, 0])
    assert torch.equal(shuffled(squares, 4), picture)


@pytest.mark.parametrize("modality", [FRONT, BEV], ids=lambda m: m.name)
def test_the_encoder_is_told_of_every_pixel_what_it_shows_and_of_hidden_ones_that_they_are(modality: Modality) -> None:
    codec = PictureCodec(modality, replace(SIZES["transformer-tiny"], patch=8))
    truth = some_of(modality)
    hidden = torch.zeros(3, codec.patches, dtype=torch.bool)
    hidden[:, 1] = True
    whole, told = (codec.squares(truth, mask) for mask in (None, hidden))
    assert whole.shape == told.shape == (3, 16, modality.shape[1] // 4, 16 * (3 + 1 if modality is FRONT else 9 + 1))
    # The second square of eight pixels in the first row of them.
    there = torch.zeros(whole.shape[:3], dtype=torch.bool)
    there[:, :2, 2:4] = True
    assert torch.equal(told[~there], whole[~there])
    if modality is FRONT:
        shown, unseen = shuffled(whole[..., :48], 4), told[..., 48:]
        assert not told[there][:, :48].any() and torch.equal(unseen, there[..., None].expand(unseen.shape).float())
    else:
        shown, unseen = shuffled(whole, 4)[..., :9], shuffled(told, 4)
        assert (unseen.sum(-1) == 1).all()
        assert torch.equal(unseen[:, ::4, ::4, 9] == 1, there) and torch.equal(unseen[:, 3::4, 3::4, 9] == 1, there)
    assert torch.equal(codec.observed(shown), truth)


def test_a_vector_is_told_as_it_is_or_that_it_is_hidden() -> None:
    codec = VectorCodec(ROUTE, SIZES["transformer-tiny"])
    truth, hidden = some_of(ROUTE), torch.tensor([[True], [False], [True]])
    found = codec.encoded(truth, hidden)
    assert torch.equal(found[0], found[2]) and not torch.equal(found[0], found[1])
    torch.testing.assert_close(found[1], codec.encoded(truth)[1])
    torch.testing.assert_close(codec.observed(symlog(truth)), truth)


def test_cells_of_pictures_stand_where_they_show() -> None:
    """What changes in a corner changes the cells near it, and these what is drawn near there."""
    codec = PictureCodec(FRONT, SIZES["transformer-tiny"])
    truth = some_of(FRONT)[:1]
    other = truth.clone()
    other[:, :4, 92:] = 255 - other[:, :4, 92:]
    changed = (codec.encoded(other) != codec.encoded(truth))[0].any(-1).view(4, 6)
    assert changed[0, 5] and not changed[:, :4].any() and not changed[2:].any()
    cells = torch.randn(1, codec.cells, 32)
    moved = cells.clone()
    moved[:, 5] += 1
    drawn = (codec.decoded(moved) != codec.decoded(cells))[0].any(-1)
    assert drawn[:16, 80:].all() and not drawn[:, :48].any() and not drawn[48:].any()


def test_pictures_begin_without_a_pattern() -> None:
    """The pixels of a square of four are alike, and differ from square to square."""
    drawn = unshuffled(PictureCodec(FRONT, SIZES["transformer-tiny"]).decoded(torch.randn(1, 24, 32)), 4)
    squares = drawn.unflatten(-1, (16, 3))
    torch.testing.assert_close(squares, squares[..., :1, :].expand_as(squares))
    assert (squares.flatten(1, 2).std(1) > 0.1).all()


def test_blocks_add_nothing_at_first_and_learn() -> None:
    block, x = Block(32), torch.randn(2, 4, 6, 32)
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert block.second.weight.grad is not None and block.second.weight.grad.abs().sum() > 0


def test_cameras_share_all_weights_but_their_places() -> None:
    one, two = (
        sum(p.numel() for p in Tokenizer(cameras, SIZES["transformer-tiny"]).parameters())
        for cameras in ([FRONT], [FRONT, LEFT])
    )
    assert two - one == 24 * SIZES["transformer-tiny"].tokenizer_width


@pytest.mark.parametrize(("shape", "patch", "size"), [((72, 96, 3), 8, 16), ((64, 96, 3), 40, 40)])
def test_pictures_that_squares_do_not_fill_are_refused(shape: tuple[int, ...], patch: int, size: int) -> None:
    modality = Modality("camera", "rgb", shape)
    with pytest.raises(ValueError, match=f"'camera'.*cannot be cut into squares of {size}"):
        codec_of(modality, replace(SIZES["transformer-tiny"], patch=patch))


def some_of(modality: Modality) -> torch.Tensor:
    torch.manual_seed(0)
    if modality.kind == "vector":
        return 40 * torch.randn(3, *modality.shape)
    return torch.randint(9 if modality.kind == "classes" else 256, (3, *modality.shape), dtype=torch.uint8)
