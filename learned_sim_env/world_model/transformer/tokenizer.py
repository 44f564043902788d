"""The causal tokenizer: what is observed in a frame as a few tokens of numbers between -1 and 1, and back.

As in Dreamer 4 (arXiv 2509.24527, section 3.1), a masked autoencoder with a linear and tanh bottleneck: in the encoder
tokens see everything, and the patches of a modality each other; in the decoder tokens see tokens, and the patches of a
modality each other and the tokens. So one modality can be decoded without the others. Unlike there, tokens begin as the
cells of their modality rather than all alike, which learns in minutes what else takes hours; and only
one layer over time, at the end of the encoder, looks at earlier frames: frames are decoded one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from learned_sim_env.spec import Modality
from learned_sim_env.world_model.layers import Linear, Norm, as_dtype
from learned_sim_env.world_model.transformer.attention import SpaceLayer, TimeLayer, TokenGroup, learned
from learned_sim_env.world_model.transformer.codecs import ModalityCodec
from learned_sim_env.world_model.transformer.config import TransformerConfig


class Tokenizer(nn.Module):
    """Encoder and decoder of modalities, in their order."""

    def __init__(self, modalities: Sequence[Modality], config: TransformerConfig):
        super().__init__()
        c, width = config, config.tokenizer_width
        self.names = tuple(m.name for m in modalities)
        alike: dict[tuple, list[Modality]] = {}
        for m in modalities:
            alike.setdefault((m.kind, m.shape), []).append(m)
        self.codecs = nn.ModuleList(
            ModalityCodec(m[0], len(m), c.patch, c.merge, width, c.channels) for m in alike.values()
        )
        # Which of the codecs, and which of its members.
        self._which = {m.name: (i, k) for i, members in enumerate(alike.values()) for k, m in enumerate(members)}
        self.count = sum(self.codec(name).cells for name in self.names)
        self.place = learned(self.count, width)

        def layer() -> SpaceLayer:
            return SpaceLayer(width, c.tokenizer_heads, c.tokenizer_kv_heads, c.expand * width, 0.0)

        self.encoder = nn.ModuleList(layer() for _ in range(c.encoder_depth))
        self.before = TimeLayer(
            width, c.tokenizer_heads, c.tokenizer_kv_heads, c.expand * width, 0.0, c.encoder_window - 1
        )
        self.decoder = nn.ModuleList(layer() for _ in range(c.decoder_depth))
        self.norm_narrow, self.norm_read = Norm(width), Norm(width)
        self.narrow, self.widen = Linear(width, c.channels), Linear(c.channels, width)

    def codec(self, name: str) -> ModalityCodec:
        """The codec of a modality."""
        return cast(ModalityCodec, self.codecs[self._which[name][0]])

    def encode(self, observations: Mapping[str, Tensor], hidden: Mapping[str, Tensor] | None = None) -> Tensor:
        """Tokens (B, T, count, channels) float32 of successive frames.

        Args:
            observations: by modality (B, T, *shape).
            hidden: by modality (B, T, patches) bool, patches that are not shown; None: none.
        """
        b, t = next(iter(observations.values())).shape[:2]
        flat = {name: observations[name].flatten(0, 1) for name in self.names}
        masks = None if hidden is None else {name: hidden[name].flatten(0, 1) for name in self.names}
        x, straight = self._encoded(flat, masks)
        return self._narrowed(self.before(x.unflatten(0, (b, t))), straight.unflatten(0, (b, t)))

    def encode_next(
        self, observation: Mapping[str, Tensor], keys: Tensor, values: Tensor, count: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (B, count, channels) of one more frame, and its key and value; see `attention.TimeLayer.next`."""
        x, straight = self._encoded({name: observation[name] for name in self.names}, None)
        x, key, value = self.before.next(x, keys, values, count)
        return self._narrowed(x, straight), key, value

    def decode(self, tokens: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """The modalities `names` from tokens (B, count, channels), see `codecs.ModalityCodec.pictured`."""
        x = self.widen(as_dtype(tokens, self.widen.weight.dtype))
        parts = [x + as_dtype(self.place, x.dtype)]
        groups, places, end, cell = [TokenGroup(slice(0, self.count), (slice(0, self.count),))], {}, self.count, 0
        own = {}
        for name in self.names:
            codec = self.codec(name)
            if name in names:
                cells = slice(cell, cell + codec.cells)
                own[name] = tokens[:, cells]
                parts.append(codec.scattered(x[:, cells], self._which[name][1]))
                places[name] = slice(end, end + codec.patches)
                # In one piece where that is possible.
                groups.append(TokenGroup(places[name], (slice(0, self.count), places[name])))
                end += codec.patches
            cell += codec.cells
        x = torch.cat(parts, 1)
        for layer in self.decoder:
            x = layer(x, tuple(groups))
        return {name: self.codec(name).pictured(self.norm_read(x[:, places[name]]), own[name]) for name in names}

    def drawn(self, tokens: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """The modalities `names`, (B, *shape) of their dtype, from tokens (B, count, channels)."""
        return {name: self.codec(name).observed(decoded) for name, decoded in self.decode(tokens, names).items()}

    def _encoded(
        self, observations: Mapping[str, Tensor], hidden: Mapping[str, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """Tokens of frames (B, *shape) that know nothing of others: (B, count, width), and what comes the straight way,
        (B, count, channels).
        """
        patches, cells, groups, end, straight = [], [], [], 0, []
        for name in self.names:
            codec = self.codec(name)
            mask = None if hidden is None else hidden[name]
            numbers = codec.numbers(observations[name])
            straight.append(codec.coded(numbers, mask))
            embedded = codec.embedded(numbers, self._which[name][1], mask)
            patches.append(embedded)
            cells.append(codec.gathered(embedded))
            own = slice(end, end + codec.patches)
            groups.append(TokenGroup(own, (own,)))
            end += codec.patches
        tokens = torch.cat(cells, 1)
        x = torch.cat([*patches, tokens + as_dtype(self.place, tokens.dtype)], 1)
        groups.append(TokenGroup(slice(end, end + self.count), (slice(0, end + self.count),)))
        for layer in self.encoder:
            x = layer(x, tuple(groups))
        return x[:, end:], torch.cat(straight, 1)

    def _narrowed(self, x: Tensor, straight: Tensor) -> Tensor:
        # Computed in float32: what a CPU rounds in tanh must not depend on the batch.
        return as_dtype(self.narrow(self.norm_narrow(x)) + straight, torch.float32).tanh()
