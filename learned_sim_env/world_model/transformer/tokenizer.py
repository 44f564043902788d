"""The causal tokenizer: what is observed in a frame as a few tokens of numbers between -1 and 1, and back.

A masked autoencoder with a linear and tanh bottleneck, as in Dreamer 4 (arXiv 2509.24527, section 3.1). Unlike there,
convolutions make a few cells of every picture, and pictures of cells: of small pictures they learn in minutes what
attention among patches takes hours for. Between them attention is among cells, one a token: in the encoder and in the
decoder those of a frame see each other, whatever modality they are of. So all modalities share what is known, and one
can be drawn without drawing the others. Only one layer over time, at the end of the encoder, looks at earlier frames:
frames are decoded one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from learned_sim_env.spec import Modality
from learned_sim_env.world_model.layers import Linear, Norm, as_dtype
from learned_sim_env.world_model.transformer.attention import SpaceLayer, TimeLayer, TokenGroup, learned
from learned_sim_env.world_model.transformer.codecs import Codec, codec_of
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
        self.codecs = nn.ModuleList(codec_of(m[0], c) for m in alike.values())
        self._members = [tuple(m.name for m in members) for members in alike.values()]
        cells = [self.codec(name).cells for name in self.names]
        self.count = sum(cells)
        self._cells = {name: slice(sum(cells[:i]), sum(cells[: i + 1])) for i, name in enumerate(self.names)}
        # By it a token is told from others, and which of the modalities that share a codec it is of.
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

    def codec(self, name: str) -> Codec:
        """The codec of a modality."""
        which = next(i for i, members in enumerate(self._members) if name in members)
        return cast(Codec, self.codecs[which])

    def encode(self, observations: Mapping[str, Tensor], hidden: Mapping[str, Tensor] | None = None) -> Tensor:
        """Tokens (B, T, count, channels) float32 of successive frames.

        Args:
            observations: by modality (B, T, *shape).
            hidden: by modality (B, T, patches) bool, patches that are not shown; None: none.
        """
        b, t = next(iter(observations.values())).shape[:2]
        flat = {name: observations[name].flatten(0, 1) for name in self.names}
        masks = None if hidden is None else {name: hidden[name].flatten(0, 1) for name in self.names}
        return self._narrowed(self.before(self._encoded(flat, masks).unflatten(0, (b, t))))

    def encode_alone(self, observations: Mapping[str, Tensor]) -> Tensor:
        """Tokens (B, count, channels) of frames, by modality (B, *shape), that have nothing before them."""
        rows, layer = len(observations[self.names[0]]), self.before
        ring = layer.cosines.new_zeros(rows, self.count, layer.attention.kv_heads, layer.past, layer.attention.size)
        return self.encode_next(observations, ring, ring, torch.zeros(rows, dtype=torch.int64, device=ring.device))[0]

    def encode_next(
        self, observation: Mapping[str, Tensor], keys: Tensor, values: Tensor, count: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (B, count, channels) of one more frame, and its key and value; see `attention.TimeLayer.next`."""
        x, key, value = self.before.next(self._encoded(observation, None), keys, values, count)
        return self._narrowed(x), key, value

    def decode(self, tokens: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """The modalities `names` from tokens (B, count, channels), see `codecs.PictureCodec.decoded`."""
        x = self._among(self.decoder, self.widen(as_dtype(tokens, self.widen.weight.dtype)))
        x = self.norm_read(x)
        found: dict[str, Tensor] = {}
        for members in self._members:
            wanted = [name for name in members if name in names]
            if wanted:
                cells = _rows([x[:, self._cells[name]] for name in wanted])
                decoded = self.codec(wanted[0]).decoded(cells, len(wanted))
                found.update(zip(wanted, decoded.unflatten(0, (-1, len(wanted))).unbind(1)))
        return {name: found[name] for name in names}

    def drawn(self, tokens: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """The modalities `names`, (B, *shape) of their dtype, from tokens (B, count, channels)."""
        return {name: self.codec(name).observed(decoded) for name, decoded in self.decode(tokens, names).items()}

    def _encoded(self, observations: Mapping[str, Tensor], hidden: Mapping[str, Tensor] | None) -> Tensor:
        """Tokens (B, count, width) of frames (B, *shape) that know nothing of others."""
        found: dict[str, Tensor] = {}
        for members in self._members:
            shown = _rows([observations[name] for name in members])
            masks = None if hidden is None else _rows([hidden[name] for name in members])
            cells = self.codec(members[0]).encoded(shown, masks, len(members))
            found.update(zip(members, cells.unflatten(0, (-1, len(members))).unbind(1)))
        return self._among(self.encoder, torch.cat([found[name] for name in self.names], 1))

    def _among(self, layers: nn.ModuleList, x: Tensor) -> Tensor:
        """Tokens (B, count, width), told apart, after layers in which each sees all."""
        x = x + as_dtype(self.place, x.dtype)
        every = slice(0, self.count)
        for layer in layers:
            x = layer(x, (TokenGroup(every, (every,)),))
        return x

    def _narrowed(self, x: Tensor) -> Tensor:
        # Computed in float32: what a CPU rounds in tanh must not depend on the batch.
        return as_dtype(self.narrow(self.norm_narrow(x)), torch.float32).tanh()


def _rows(members: Sequence[Tensor]) -> Tensor:
    """(B * members, ...) of members (B, ...): those of a row follow each other."""
    return torch.stack(tuple(members), 1).flatten(0, 1)
