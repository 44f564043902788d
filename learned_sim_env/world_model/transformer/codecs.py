"""How observations become patches, and patches become observations again.

A picture is cut into squares, its patches; as many of them as make a larger square are a cell, which one token stands
for. A vector is one patch and one cell. Beside what layers make of patches there is a straight way, linear, from the
numbers of a cell to its token and back. Modalities of the same kind and shape, such as cameras, share all weights but
those that say which of them a patch is of.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learned_sim_env.spec import NUM_CLASSES, Modality
from learned_sim_env.world_model.layers import Linear, as_dtype, one_hot
from learned_sim_env.world_model.transformer.attention import learned

# Numbers of a token above this, which is tanh(2.65), are as good as it: near 1 little means much.
MOST = 0.99


class ModalityCodec(nn.Module):
    """Embeds the patches of modalities that are like `modality`, `members` of them, and reads what patches say of them.

    Raises:
        ValueError: for pictures that cells do not fill.
    """

    middle: Tensor

    def __init__(self, modality: Modality, members: int, patch: int, merge: int, width: int, channels: int):
        super().__init__()
        self.kind, self.shape, self.patch, self.merge = modality.kind, modality.shape, patch, merge
        if modality.kind == "vector":
            self.grid, self.merge, numbers = (1, 1), 1, int(torch.Size(modality.shape).numel())
        else:
            height, breadth = modality.shape[:2]
            cell = patch * merge
            if height % cell or breadth % cell:
                raise ValueError(
                    f"modality {modality.name!r} of {height} x {breadth} pixels cannot be cut into squares of {cell}: "
                    "give another patch or merge"
                )
            self.grid = (height // patch, breadth // patch)
            numbers = patch**2 * (NUM_CLASSES if modality.kind == "classes" else 3)
        self.patches = self.grid[0] * self.grid[1]
        self.cells = self.patches // self.merge**2
        self.embed, self.read = Linear(numbers, width), Linear(width, numbers)
        self.place = learned(members, self.patches, width)
        self.missing = learned(width)
        self.gather, self.spread = Linear(self.merge**2 * width, width), Linear(width, self.merge**2 * width)
        # Of a cell: what it is in the middle of the data, in whose place hidden patches are.
        self.register_buffer("middle", torch.zeros(self.merge**2 * numbers))
        self.code, self.uncode = Linear(self.merge**2 * numbers, channels), Linear(channels, self.merge**2 * numbers)

    def embedded(self, numbers: Tensor, member: int, hidden: Tensor | None = None) -> Tensor:
        """(B, patches, width) of `numbers`; patches that are `hidden` (B, patches) bool are unknown."""
        x = self.embed(as_dtype(numbers, self.embed.weight.dtype))
        if hidden is not None:
            x = torch.where(hidden[..., None], as_dtype(self.missing, x.dtype), x)
        return x + as_dtype(self.place[member], x.dtype)

    def numbers(self, observation: Tensor) -> Tensor:
        """What patches of (B, *shape) consist of, (B, patches, numbers) float32, near 1."""
        if self.kind == "vector":
            return symlog(observation.float()).flatten(1)[:, None]
        if self.kind == "classes":
            values = one_hot(observation, NUM_CLASSES, torch.float32)
        else:
            values = observation.float() / 127.5 - 1
        return self._cut(values)

    def coded(self, numbers: Tensor, hidden: Tensor | None = None) -> Tensor:
        """(B, cells, channels): the straight way from `numbers` to tokens, before they are bounded."""
        x = self.by_cell(numbers) - self.middle
        if hidden is not None:
            x = torch.where(self.by_cell(hidden[..., None].expand(numbers.shape)), 0, x)
        return self.code(as_dtype(x, self.code.weight.dtype))

    def pictured(self, patches: Tensor, tokens: Tensor) -> Tensor:
        """What patches (B, patches, width) and the tokens of their cells (B, cells, channels) say: class logits
        (B, H, W, classes), colours (B, H, W, 3) in [-1, 1] or so, or the symlog of a vector (B, *shape); float32.
        """
        straight = self.uncode(as_dtype(unbounded(tokens.contiguous()), self.uncode.weight.dtype))
        x = as_dtype(self.read(patches), torch.float32) + self._by_patch(as_dtype(straight, torch.float32))
        if self.kind == "vector":
            return x.view(len(x), *self.shape)
        (rows, columns), p = self.grid, self.patch
        x = x.view(len(x), rows, columns, p, p, -1).transpose(2, 3)
        return x.reshape(len(x), rows * p, columns * p, -1)

    def observed(self, pictured: Tensor) -> Tensor:
        """The observation (B, *shape), of its dtype, that `pictured` stands for."""
        if self.kind == "vector":
            return symexp(pictured)
        if self.kind == "classes":
            return pictured.argmax(-1).to(torch.uint8)
        return ((pictured + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)

    def gathered(self, patches: Tensor) -> Tensor:
        """Cells (B, cells, width) of patches (B, patches, width)."""
        return self.gather(self.by_cell(patches))

    def scattered(self, cells: Tensor, member: int) -> Tensor:
        """Patches (B, patches, width) of cells (B, cells, width)."""
        # A CPU computes with parts of a larger tensor in another way if there is one row than if there are more.
        x = self._by_patch(self.spread(cells.contiguous()))
        return x + as_dtype(self.place[member], x.dtype)

    def by_cell(self, patches: Tensor) -> Tensor:
        """(B, cells, merge * merge * C) of (B, patches, C)."""
        rows, columns, m = self.grid[0] // self.merge, self.grid[1] // self.merge, self.merge
        x = patches.reshape(len(patches), rows, m, columns, m, -1).transpose(2, 3)
        return x.reshape(len(patches), self.cells, -1)

    def _by_patch(self, cells: Tensor) -> Tensor:
        """Inverse of `by_cell`."""
        rows, columns, m = self.grid[0] // self.merge, self.grid[1] // self.merge, self.merge
        x = cells.view(len(cells), rows, columns, m, m, -1).transpose(2, 3)
        return x.reshape(len(cells), self.patches, -1)

    def _cut(self, values: Tensor) -> Tensor:
        """(B, H, W, C) as (B, patches, patch * patch * C), row by row."""
        (rows, columns), p = self.grid, self.patch
        x = values.view(len(values), rows, p, columns, p, -1).transpose(2, 3)
        return x.reshape(len(values), self.patches, -1)


def unbounded(tokens: Tensor) -> Tensor:
    """Inverse of tanh, float32; beyond `MOST` it goes on as there."""
    x = as_dtype(tokens, torch.float32).clamp(-MOST, MOST)
    # Not by atanh, see `symlog`.
    return 0.5 * ((1 + x).log() - (1 - x).log())


def symlog(x: Tensor) -> Tensor:
    """sign(x) log(1 + |x|), as DreamerV3 (arXiv 2301.04104)."""
    # Not by log1p, which a CPU rounds otherwise at the end of a tensor.
    return x.sign() * (1 + x.abs()).log()


def symexp(x: Tensor) -> Tensor:
    """Inverse of `symlog`."""
    return x.sign() * torch.expm1(x.abs())
