"""How observations become cells, and cells become observations again.

A cell is what one token stands for: a square of `CELL` x `CELL` pixels of a picture, seen with what is round it, or a
whole vector. Modalities of the same kind and shape, such as cameras, share all weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import NUM_CLASSES, Modality
from learned_sim_env.world_model.layers import MLP, as_dtype, one_hot, unshuffled
from learned_sim_env.world_model.transformer.config import TransformerConfig
from learned_sim_env.world_model.transformer.convolutions import (
    CELL,
    PIXELS,
    PictureDecoder,
    PictureEncoder,
    by_rows,
)

# What a pixel of a picture may be told: a class, or colours.
CHANNELS = {"classes": NUM_CLASSES, "rgb": 3}


class VectorCodec(nn.Module):
    """A vector is one cell, and one patch."""

    kind, cells, patches = "vector", 1, 1

    def __init__(self, modality: Modality, config: TransformerConfig):
        super().__init__()
        self.shape, width = modality.shape, config.tokenizer_width
        numbers = int(torch.Size(modality.shape).numel())
        # Beside the numbers, whether they are hidden.
        self.encoder, self.decoder = MLP(numbers + 1, (width,), width), MLP(width, (width,), numbers)

    def encoded(self, observation: Tensor, hidden: Tensor | None = None, members: int = 1) -> Tensor:
        """See `PictureCodec.encoded`."""
        x = symlog(observation.float()).flatten(1)[:, None]
        if hidden is None:
            unknown = torch.zeros_like(x[..., :1])
        else:
            unknown = hidden[..., None].float()
            x = x.masked_fill(hidden[..., None], 0)
        return by_rows(self.encoder, torch.cat([x, unknown], -1), members)

    def decoded(self, cells: Tensor, members: int = 1) -> Tensor:
        """See `PictureCodec.decoded`."""
        return as_dtype(by_rows(self.decoder, cells, members), torch.float32).view(-1, *self.shape)

    def observed(self, decoded: Tensor) -> Tensor:
        """See `PictureCodec.observed`."""
        return symexp(decoded)


class PictureCodec(nn.Module):
    """Pictures of colours or classes.

    Raises:
        ValueError: for pictures that cells or patches do not fill.
    """

    def __init__(self, modality: Modality, config: TransformerConfig):
        super().__init__()
        self.kind, self.shape, self.patch = modality.kind, modality.shape, config.patch
        height, breadth = modality.shape[:2]
        for size in (CELL, config.patch):
            if height % size or breadth % size:
                raise ValueError(
                    f"modality {modality.name!r} of {height} x {breadth} pixels cannot be cut into squares of {size}: "
                    f"give pictures that squares of {CELL} fill, and a patch that does"
                )
        self.grid = (height // CELL, breadth // CELL)
        self.cells = self.grid[0] * self.grid[1]
        self.patches = height * breadth // config.patch**2
        channels, c = CHANNELS[modality.kind], config
        # One more, of pixels that are hidden.
        self.encoder = PictureEncoder(channels + 1, c.widths, c.encoder_blocks, c.tokenizer_width)
        self.decoder = PictureDecoder(channels, c.widths, c.decoder_blocks, c.tokenizer_width)

    def encoded(self, observation: Tensor, hidden: Tensor | None = None, members: int = 1) -> Tensor:
        """Cells (B, cells, width) of observations (B, *shape), of which patches that are `hidden` (B, patches) bool are
        not seen. So many `members` that follow each other are of one row.
        """
        return by_rows(self.encoder, self.squares(observation, hidden), members).flatten(1, 2)

    def decoded(self, cells: Tensor, members: int = 1) -> Tensor:
        """What cells (B, cells, width) say: class logits (B, H, W, classes), colours (B, H, W, 3) in [-1, 1] or so, or
        the symlog of a vector (B, *shape); float32.
        """
        return as_dtype(by_rows(self.decoder, cells.unflatten(1, self.grid), members), torch.float32)

    def observed(self, decoded: Tensor) -> Tensor:
        """The observation (B, *shape), of its dtype, that `decoded` stands for."""
        if self.kind == "classes":
            return decoded.argmax(-1).to(torch.uint8)
        return ((decoded + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)

    def squares(self, observation: Tensor, hidden: Tensor | None) -> Tensor:
        """(B, H / 4, W / 4, 16 * channels): what the encoder is told of the pixels of each square, of hidden ones that
        they are; first the colours of all of them, or pixel by pixel which class it is of.
        """
        dtype = self.encoder.inward.weight.dtype
        x = unshuffled(observation.view(len(observation), *self.shape[:2], -1), PIXELS)
        unknown = None if hidden is None else self._by_square(hidden)[..., None]
        if self.kind == "classes":
            ids = x if unknown is None else x.masked_fill(unknown, NUM_CLASSES)
            return one_hot(ids, NUM_CLASSES + 1, dtype).flatten(3)
        x = x.to(dtype).div_(127.5).sub_(1)
        if unknown is None:
            return F.pad(x, (0, PIXELS**2))
        return torch.cat([x.masked_fill_(unknown, 0), unknown.to(dtype).expand(-1, -1, -1, PIXELS**2)], -1)

    def _by_square(self, hidden: Tensor) -> Tensor:
        """(B, H / 4, W / 4) of (B, patches)."""
        (height, breadth), size = self.shape[:2], self.patch // PIXELS
        x = hidden.view(-1, height // self.patch, 1, breadth // self.patch, 1)
        return x.expand(-1, -1, size, -1, size).reshape(-1, height // PIXELS, breadth // PIXELS)


Codec = VectorCodec | PictureCodec


def codec_of(modality: Modality, config: TransformerConfig) -> Codec:
    """The codec of modalities that are like `modality`."""
    return (VectorCodec if modality.kind == "vector" else PictureCodec)(modality, config)


def symlog(x: Tensor) -> Tensor:
    """sign(x) log(1 + |x|), as DreamerV3 (arXiv 2301.04104)."""
    # Not by log1p, which a CPU rounds otherwise at the end of a tensor.
    return x.sign() * (1 + x.abs()).log()


def symexp(x: Tensor) -> Tensor:
    """Inverse of `symlog`."""
    return x.sign() * torch.expm1(x.abs())
