"""Attention over the tokens of a frame and over time, as Dreamer 4 has it (arXiv 2509.24527, section 3.2).

Layers are normalised before, keys and queries once more (QK-norm); heads share keys and values (GQA); logits may be
capped softly; feed-forward layers are SwiGLU. `TokenGroup`s declare which tokens of a frame attend to which, in place
of masks.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.world_model.layers import Linear, Norm, as_dtype


def learned(*shape: int) -> nn.Parameter:
    """A learned parameter, such as the place of a token: as large as the embeddings that it is added to, so that
    attention tells places apart from the start.
    """
    return nn.Parameter(0.5 * torch.randn(*shape))


class TokenGroup(NamedTuple):
    """Some tokens of a frame, next to each other, and the tokens that they attend to, in one or two pieces."""

    tokens: slice
    visible: tuple[slice, ...]


class Attention(nn.Module):
    """Multi-head attention of tokens (..., N, width)."""

    def __init__(self, width: int, heads: int, kv_heads: int, soft_cap: float):
        super().__init__()
        self.heads, self.kv_heads, self.size, self.soft_cap = heads, kv_heads, width // heads, soft_cap
        self.query = Linear(width, width, bias=False)
        self.key_value = Linear(width, 2 * kv_heads * self.size, bias=False)
        self.out = Linear(width, width, bias=False)
        self.norm_query, self.norm_key = Norm(self.size), Norm(self.size)

    def queries(self, x: Tensor) -> Tensor:
        """(..., kv_heads, heads / kv_heads, size), scaled: there are fewer of them than of logits."""
        split = self.query(x).unflatten(-1, (self.kv_heads, -1, self.size))
        return self.norm_query(split) * (self.size**-0.5 / (self.soft_cap or 1.0))

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Two of (..., kv_heads, size)."""
        keys, values = self.key_value(x).unflatten(-1, (2, self.kv_heads, self.size)).unbind(-3)
        return self.norm_key(keys), values

    def capped(self, logits: Tensor) -> Tensor:
        """Products of queries and keys as logits, bounded softly."""
        return self.soft_cap * torch.tanh(logits) if self.soft_cap else logits

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, allowed: Tensor | None = None) -> Tensor:
        """What queries (B, kv_heads, Q, size) find among keys and values (B, kv_heads, M, size).

        allowed: (Q, M) bool; None: all.
        """
        # For so few tokens a CPU's fused attention takes three times as long backwards, and rounds by the batch.
        logits = self.capped(queries @ keys.transpose(-1, -2))
        if allowed is not None:
            logits = logits.masked_fill(~allowed, -math.inf)
        return as_dtype(logits.softmax(-1), values.dtype) @ values


class FeedForward(nn.Module):
    """SwiGLU (arXiv 2002.05202)."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.rise = Linear(width, 2 * hidden, bias=False)
        self.fall = Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same shape."""
        gate, value = self.rise(x).chunk(2, -1)
        return self.fall(F.silu(gate) * value)


class Layer(nn.Module):
    """Attention and feed-forward, each normalised before and added to what there was; heads see a space or a time."""

    def __init__(self, width: int, heads: int, kv_heads: int, hidden: int, soft_cap: float):
        super().__init__()
        self.attention = Attention(width, heads, kv_heads, soft_cap)
        self.feed_forward = FeedForward(width, hidden)
        self.norm_attention, self.norm_feed_forward = Norm(width), Norm(width)

    def finished(self, x: Tensor, found: Tensor) -> Tensor:
        """Tokens (..., N, width) after what attention found, (..., N, heads * size)."""
        x = x + self.attention.out(found)
        return x + self.feed_forward(self.norm_feed_forward(x))


class SpaceLayer(Layer):
    """Tokens of a frame attend to each other."""

    def forward(self, x: Tensor, groups: tuple[TokenGroup, ...]) -> Tensor:
        """(B, N, width) to the same shape; `groups` cover the N tokens in order."""
        seen = self.norm_attention(x)
        # (B, kv_heads, group, N, size), and (B, kv_heads, N, size): the heads of a group are more queries of one.
        queries = self.attention.queries(seen).permute(0, 2, 3, 1, 4)
        keys, values = (part.transpose(1, 2) for part in self.attention.keys_values(seen))
        found = []
        for group in groups:
            asking = queries[:, :, :, group.tokens]
            k, v = (_pieces(part, group.visible) for part in (keys, values))
            answer = self.attention.attend(asking.flatten(2, 3), k, v)
            found.append(answer.view(asking.shape).permute(0, 3, 1, 2, 4).flatten(2))
        return self.finished(x, found[0] if len(found) == 1 else torch.cat(found, 1))


class TimeLayer(Layer):
    """Each token attends to itself in the frames before, at most `past` of them, and in its own.

    A frame's place in time turns its queries and keys (RoPE, arXiv 2104.09864) by whole multiples of a turn over
    2 (past + 1) frames: only differences of time count, and time never runs out.
    """

    def __init__(self, width: int, heads: int, kv_heads: int, hidden: int, soft_cap: float, past: int):
        super().__init__(width, heads, kv_heads, hidden, soft_cap)
        self.past, self.period = past, 2 * (past + 1)
        half = self.attention.size // 2
        # Slowest a turn in a period, fastest a quarter of a turn a frame.
        rates = torch.logspace(0, math.log2(max(self.period // 4, 1)), half, 2.0, dtype=torch.float64).round()
        angles = 2 * torch.pi / self.period * torch.arange(self.period, dtype=torch.float64)[:, None] * rates
        self.cosines: Tensor
        self.sines: Tensor
        self.register_buffer("cosines", angles.cos().float(), persistent=False)
        self.register_buffer("sines", angles.sin().float(), persistent=False)

    def rotated(self, x: Tensor, frame: Tensor) -> Tensor:
        """x (..., size) turned by numbers of frames, int64, which broadcast against all dimensions but the last."""
        frame = frame % self.period
        c, s = (as_dtype(F.embedding(frame, table), x.dtype) for table in (self.cosines, self.sines))
        a, b = x.chunk(2, -1)
        return torch.cat([a * c - b * s, b * c + a * s], -1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, N, width), successive frames, to the same shape."""
        seen, frames = self.norm_attention(x), torch.arange(x.shape[1], device=x.device)
        queries = self.rotated(self.attention.queries(seen), frames[:, None, None, None])
        keys, values = self.attention.keys_values(seen)
        keys = self.rotated(keys, frames[:, None, None])
        # (B * N, kv_heads, group, T, size), and (B * N, kv_heads, T, size).
        queries = queries.permute(0, 2, 3, 4, 1, 5).flatten(0, 1)
        keys, values = (part.permute(0, 2, 3, 1, 4).flatten(0, 1) for part in (keys, values))
        age = frames[:, None] - frames
        allowed = ((age >= 0) & (age <= self.past)).repeat(queries.shape[2], 1)
        found = self.attention.attend(queries.flatten(2, 3), keys, values, allowed).view(queries.shape)
        found = found.unflatten(0, (x.shape[0], -1)).permute(0, 4, 1, 2, 3, 5).flatten(3)
        return self.finished(x, found)

    def next(self, x: Tensor, keys: Tensor, values: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One more frame, of which the past is at hand.

        Args:
            x: (B, N, width).
            keys, values: (B, N, kv_heads, past, size), a ring: frame n of a row is at n % past.
            count: (B,) int64, frames of a row before this one.

        Returns:
            (B, N, width), and this frame's key and value, each (B, N, kv_heads, 1, size).
        """
        seen = self.norm_attention(x)
        queries = self.rotated(self.attention.queries(seen), count[:, None, None, None])
        key, value = self.attention.keys_values(seen)
        key = self.rotated(key, count[:, None, None])[..., None, :]
        value = value[..., None, :]
        keys, values = as_dtype(keys, x.dtype), as_dtype(values, x.dtype)
        before, own = queries @ keys.transpose(-1, -2), (queries * key).sum(-1, keepdim=True)
        known = torch.arange(self.past, device=x.device) < count[:, None]
        before = self.attention.capped(before).masked_fill(~known[:, None, None, None], -math.inf)
        weights = as_dtype(torch.cat([before, self.attention.capped(own)], -1).softmax(-1), x.dtype)
        found = weights[..., :-1] @ values + weights[..., -1:] * value
        return self.finished(x, found.flatten(2)), key, value


def remembered(ring: Tensor, new: Tensor, count: Tensor) -> Tensor:
    """A copy of a ring (B, ..., past, size) in which frame `count` (B,) int64 of a row is `new` (B, ..., 1, size)."""
    slot = (count % ring.shape[-2]).view(-1, *[1] * (ring.ndim - 1))
    return ring.scatter(-2, slot.expand(new.shape), as_dtype(new, ring.dtype))


def _pieces(tokens: Tensor, which: tuple[slice, ...]) -> Tensor:
    """(B, kv_heads, M, size): those of (B, kv_heads, N, size)."""
    pieces = [tokens[:, :, part] for part in which]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, 2)
