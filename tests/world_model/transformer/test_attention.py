"""Attention over a frame and over time."""

from __future__ import annotations

import pytest
import torch

from learned_sim_env.world_model.transformer.attention import SpaceLayer, TimeLayer, TokenGroup, remembered

WIDTH, HEADS, SHARED, PAST = 64, 4, 2, 5


def time_layer(soft_cap: float = 50.0) -> TimeLayer:
    torch.manual_seed(0)
    return TimeLayer(WIDTH, HEADS, SHARED, 64, soft_cap, PAST).eval().requires_grad_(False)


def test_tokens_see_what_their_sight_says_and_nothing_else() -> None:
    torch.manual_seed(0)
    layer = SpaceLayer(WIDTH, HEADS, SHARED, 64, 50.0).eval().requires_grad_(False)
    a, b, c = slice(0, 3), slice(3, 5), slice(5, 9)
    groups = (TokenGroup(a, (a,)), TokenGroup(b, (a, b)), TokenGroup(c, (slice(0, 9),)))
    x = torch.randn(2, 9, WIDTH)
    before = layer(x, groups)
    for changed, seeing in ((a, (a, b, c)), (b, (b, c)), (c, (c,))):
        other = x.clone()
        other[:, changed] += torch.randn_like(other[:, changed])
        after = layer(other, groups)
        for part in (a, b, c):
            assert torch.equal(after[:, part], before[:, part]) == (part not in seeing)


def test_attention_is_the_plain_formula() -> None:
    """Against multi-head attention written out, with keys and values repeated for the heads that share them."""
    torch.manual_seed(0)
    layer = SpaceLayer(WIDTH, HEADS, SHARED, 64, 3.0).requires_grad_(False)
    x = torch.randn(2, 7, WIDTH)
    every = slice(0, 7)
    found = layer(x, (TokenGroup(every, (every,)),))

    a, seen, size = layer.attention, layer.norm_attention(x), WIDTH // HEADS
    q = a.norm_query(a.query(seen).view(2, 7, HEADS, size)).transpose(1, 2)
    k, v = a.key_value(seen).view(2, 7, 2, SHARED, size).unbind(2)
    k, v = (part.repeat_interleave(HEADS // SHARED, 2).transpose(1, 2) for part in (a.norm_key(k), v))
    logits = 3.0 * torch.tanh(q @ k.transpose(-1, -2) / size**0.5 / 3.0)
    y = x + a.out((logits.softmax(-1) @ v).transpose(1, 2).reshape(2, 7, WIDTH))
    rise, value = layer.feed_forward.rise(layer.norm_feed_forward(y)).chunk(2, -1)
    y = y + layer.feed_forward.fall(torch.nn.functional.silu(rise) * value)
    torch.testing.assert_close(found, y)


def test_time_is_causal_and_ends_at_the_window() -> None:
    layer, x = time_layer(), torch.randn(1, 12, 3, WIDTH)
    before = layer(x)
    other = x.clone()
    other[:, 4, 1] += 1
    changed = (layer(other) != before).any(-1)[0]
    assert changed[4 : 4 + PAST + 1, 1].all()
    assert not changed[:, [0, 2]].any() and not changed[:4].any() and not changed[4 + PAST + 1 :].any()


@pytest.mark.parametrize("soft_cap", [50.0, 0.0])
def test_one_frame_at_a_time_is_the_same_as_all_at_once_beyond_the_ring(soft_cap: float) -> None:
    layer, frames = time_layer(soft_cap), 3 * PAST + 2
    x = torch.randn(2, frames, 3, WIDTH)
    together = layer(x)
    keys = values = torch.zeros(2, 3, SHARED, PAST, WIDTH // HEADS)
    for t in range(frames):
        count = torch.full((2,), t)
        y, key, value = layer.next(x[:, t], keys, values, count)
        keys, values = remembered(keys, key, count), remembered(values, value, count)
        torch.testing.assert_close(y, together[:, t], atol=1e-5, rtol=1e-5)


def test_only_differences_of_time_count_and_time_never_runs_out() -> None:
    """A row in its millionth turn of the ring computes what a row in its first does, to the bit."""
    layer = time_layer()
    x, ring = torch.randn(2, 3, WIDTH), torch.randn(2, 3, SHARED, PAST, WIDTH // HEADS)
    # A turn of the ring and one of the positions.
    turn = PAST * layer.period
    count = torch.tensor([PAST, PAST + 3])
    first, later = (layer.next(x, ring, ring.flip(1), count + n * turn) for n in (0, 1_000_000))
    assert all(torch.equal(a, b) for a, b in zip(first, later))
    # Whatever the turn, a frame meets the one before it in the same way.
    q, k = torch.randn(2, WIDTH // HEADS).unbind()
    met = torch.stack([layer.rotated(q, torch.tensor(n)) @ layer.rotated(k, torch.tensor(n - 2)) for n in (2, 9, 1001)])
    torch.testing.assert_close(met, met[:1].expand(3))


@torch.inference_mode()
def test_rows_have_clocks_of_their_own() -> None:
    layer, x = time_layer(), torch.randn(3, 2, WIDTH)
    rings = torch.randn(3, 2, SHARED, PAST, WIDTH // HEADS)
    counts = torch.tensor([0, 2, 17])
    together = layer.next(x, rings, rings, counts)
    for row in range(3):
        one = slice(row, row + 1)
        alone = layer.next(x[one], rings[one], rings[one], counts[one])
        assert all(torch.equal(a[one], b) for a, b in zip(together, alone))
    # A row that has no past does not look at its ring.
    empty = layer.next(x[:1], torch.zeros_like(rings[:1]), torch.zeros_like(rings[:1]), counts[:1])
    assert torch.equal(empty[0], together[0][:1])
