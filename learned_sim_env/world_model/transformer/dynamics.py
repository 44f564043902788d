"""The dynamics: from earlier frames, the action and the ego's motion, a frame's clean tokens from noisy ones.

Tokens of a frame, as in Dreamer 4 (arXiv 2509.24527, section 3.2): those of the tokenizer, noisy to some degree;
registers; one that says how noisy they are, and how large the step is that will be made towards the clean ones; one of
the action; one of the ego's own motion; and agent tokens, which see all the others and are seen by none. Unlike there,
tokens of the frame before are an input beside the noisy ones, both moved with the ego (see `moving`) and as they were,
and as noisy as frames of the past are. The network chooses between the two, for what stands still and for what moves as
the ego does, and gives what is other than they say. What a frame is conditioned on is added to all of its tokens as
well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from learned_sim_env.world_model.layers import MLP, Linear, Norm, as_dtype
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.transformer.attention import SpaceLayer, TimeLayer, TokenGroup, learned, remembered
from learned_sim_env.world_model.transformer.config import TransformerConfig
from learned_sim_env.world_model.transformer.ego import EGO_NUMBERS

# Share of their usual size with which weights begin that give what the network adds to the frame before; and the logit
# of how much of that it takes as it was, rather than moved.
FIRST, UNMOVED = 0.01, -3.0


class Condition(NamedTuple):
    """What frames are conditioned on; leading dimensions (...) are (B, T) or (B,).

    action: (..., 2) that led to the frame. action_known: (...) bool. ego: (..., EGO_NUMBERS), see `ego.numbers`.
    ego_known: (...) bool.
    """

    action: Tensor
    action_known: Tensor
    ego: Tensor
    ego_known: Tensor


class Past(NamedTuple):
    """Keys and values of the frames before, of every layer over time.

    keys, values: (B, N, kv_heads, past, size) float32 each, rings, see `attention.TimeLayer.next`; one tensor a layer,
    since a CPU computes with parts of a larger one in another way if there is one row than if there are more. frames:
    (B,) int64, how many there were.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    frames: Tensor

    @staticmethod
    def from_state(state: State, layers: int) -> Past:
        """That of a state."""
        keys, values = (tuple(state[f"{kind}_{i}"] for i in range(layers)) for kind in ("keys", "values"))
        return Past(keys, values, state["frames"])

    def in_state(self) -> State:
        """As it stands in a state."""
        rings = {"keys": self.keys, "values": self.values}
        named = {f"{kind}_{i}": ring for kind, layers in rings.items() for i, ring in enumerate(layers)}
        return {**named, "frames": self.frames}

    def then(self, keys: Sequence[Tensor], values: Sequence[Tensor]) -> Past:
        """With one more frame, of which they are (B, N, kv_heads, 1, size) of every layer."""
        rings = [
            tuple(remembered(ring, new, self.frames) for ring, new in zip(*pair))
            for pair in ((self.keys, keys), (self.values, values))
        ]
        return Past(rings[0], rings[1], self.frames + 1)


class Prediction(NamedTuple):
    """clean: (..., N, channels) float32, the estimate of the frame's clean tokens, or the direction towards them
    (`TransformerConfig.prediction`). agents: (..., agents, width), the agent tokens' output.
    """

    clean: Tensor
    agents: Tensor


class Dynamics(nn.Module):
    """The network, for frames of `count` tokens."""

    def __init__(self, count: int, config: TransformerConfig):
        super().__init__()
        self.config, self.count = config, count
        c, width = config, config.width
        self.enter, self.leave = Linear(c.channels, width), Linear(width, 2 * c.channels)
        self.enter_before = Linear(2 * c.channels, width, bias=False)
        self.keep = nn.Parameter(torch.ones(c.channels))
        with torch.no_grad():
            if c.prediction == "x":
                # Clean tokens are nearly the moved ones at first.
                self.leave.weight.mul_(FIRST)
                self.leave.bias[: c.channels] = 0
                self.leave.bias[c.channels :] = UNMOVED
        self.place = learned(count, width)
        self.registers = learned(c.registers, width)
        self.signal = nn.Embedding(c.finest, width)
        self.stride = nn.Embedding(c.finest.bit_length(), width)
        # An action adds its components to the embedding of no action: without action is the same as the action 0.
        self.action, self.no_action = Linear(2, width, bias=False), learned(width)
        self.ego = MLP(EGO_NUMBERS, (64,), width, norm=False)
        self.no_ego = learned(width)
        self.agents = learned(c.agents, width)
        for table in (self.signal, self.stride):
            nn.init.normal_(table.weight, std=0.5)
        self.layers = nn.ModuleList(
            TimeLayer(width, c.heads, c.kv_heads, c.expand * width, c.soft_cap, c.past)
            if (i + 1) % c.time_every == 0
            else SpaceLayer(width, c.heads, c.kv_heads, c.expand * width, c.soft_cap)
            for i in range(c.depth)
        )
        self.norm = Norm(width)
        seen = slice(0, count + c.registers + 3)
        self.all = seen.stop + c.agents
        self.groups = (TokenGroup(seen, (seen,)), TokenGroup(slice(seen.stop, self.all), (slice(0, self.all),)))

    def empty_past(self, batch_size: int) -> Past:
        """The past of rows that have none."""
        c, device = self.config, self.place.device
        shape = (batch_size, self.all, c.kv_heads, c.past, c.width // c.heads)
        rings = [tuple(torch.zeros(shape, device=device) for _ in range(c.time_layers)) for _ in range(2)]
        return Past(rings[0], rings[1], torch.zeros(batch_size, dtype=torch.int64, device=device))

    def forward(self, noisy: Tensor, level: Tensor, stride: Tensor, condition: Condition, before: Tensor) -> Prediction:
        """Clips of T successive frames.

        Args:
            noisy: (B, T, count, channels).
            level: (B, T) int64 of 0 to finest - 1: the share of truth in them, times `finest` (tau).
            stride: (B, T) int64: 2^-stride of the way from nothing to all is the step to be made (d).
            condition: of (B, T).
            before: (B, T, count, 2 * channels), the frames before these, moved, and as they were; `context_share` of
                them is truth.
        """
        x = self._tokens(noisy, level, stride, self.condition_tokens(condition), before)
        b, t = x.shape[:2]
        for layer in self.layers:
            over_time = isinstance(layer, TimeLayer)
            x = layer(x) if over_time else layer(x.flatten(0, 1), self.groups).unflatten(0, (b, t))
        return self._prediction(x, before)

    def next(
        self, noisy: Tensor, level: Tensor, stride: Tensor, condition_tokens: Tensor, before: Tensor, past: Past
    ) -> tuple[Prediction, list[Tensor], list[Tensor]]:
        """One more frame after those of `past`: the same as `forward` gives for it.

        Args:
            noisy: (B, count, channels).
            level, stride: (B,), as for `forward`.
            condition_tokens: (B, 2, width), see the method `condition_tokens`.
            before: (B, count, 2 * channels), as for `forward`.
            past: what was before.

        Returns:
            The prediction, and the frame's keys and values, see `Past.then`.
        """
        x = self._tokens(noisy, level, stride, condition_tokens, before)
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for layer in self.layers:
            if isinstance(layer, TimeLayer):
                i = len(keys)
                x, key, value = layer.next(x, past.keys[i], past.values[i], past.frames)
                keys.append(key)
                values.append(value)
            else:
                x = layer(x, self.groups)
        return self._prediction(x, before), keys, values

    def condition_tokens(self, condition: Condition) -> Tensor:
        """(..., 2, width): tokens of action and motion."""
        # Not by a product with 0: unknown values may be NaN.
        known = torch.where(condition.action_known[..., None], condition.action, 0)
        action = self.action(as_dtype(known, self.action.weight.dtype))
        action = action + as_dtype(self.no_action, action.dtype)
        ego = self.ego(torch.where(condition.ego_known[..., None], condition.ego, 0))
        ego = torch.where(condition.ego_known[..., None], ego, as_dtype(self.no_ego, ego.dtype))
        return torch.stack([action, as_dtype(ego, action.dtype)], -2)

    def _tokens(self, noisy: Tensor, level: Tensor, stride: Tensor, condition_tokens: Tensor, before: Tensor) -> Tensor:
        """(..., all, width)."""
        dtype = self.enter.weight.dtype
        x = self.enter(as_dtype(noisy, dtype)) + self.enter_before(as_dtype(before, dtype))
        signal = (self.signal(level) + self.stride(stride))[..., None, :]
        told = as_dtype(signal, x.dtype) + condition_tokens.sum(-2, keepdim=True)
        x = x + as_dtype(self.place, x.dtype) + as_dtype(told, x.dtype)
        fixed = [part.expand(*x.shape[:-2], *part.shape) for part in (self.registers, self.agents)]
        parts = (fixed[0], signal, condition_tokens, fixed[1])
        return torch.cat([x, *(as_dtype(part, x.dtype) for part in parts)], -2)

    def _prediction(self, x: Tensor, before: Tensor) -> Prediction:
        output = as_dtype(self.leave(self.norm(x[..., : self.count, :])), torch.float32)
        clean, choice = output.chunk(2, -1)
        if self.config.prediction == "x":
            moved, last = before.chunk(2, -1)
            chosen = torch.lerp(moved, last, choice.sigmoid())
            # As large as without noise.
            clean = clean + as_dtype(self.keep, torch.float32) * chosen / self.config.context_share
        return Prediction(clean, as_dtype(self.norm(x[..., -self.config.agents :, :]), torch.float32))
