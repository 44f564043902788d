"""Where the tokenizer begins: tokens are the principal components of what their cells show.

What a linear code of as many numbers can say is there from the first step, and layers learn what is better than that. A
network that begins at random has not come so far after hundreds of steps, which are a large share of those that a CPU
takes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from learned_sim_env.training.batches import Batch
from learned_sim_env.training.transformer.clips import Clips
from learned_sim_env.world_model.transformer.codecs import ModalityCodec
from learned_sim_env.world_model.transformer.tokenizer import Tokenizer

# Standard deviation of a token's first number, before it is bounded; and by which power of what they stand for that of
# the others falls: noise, which is the same for all of them, hides the least of a picture first.
FIRST, FALL = 0.8, 0.25
# Numbers that say less than this share of the first one are not made to count for more.
LEAST = 0.01
# Logits of a class that is there, over those of one that is not.
SURE = 8.0


@torch.no_grad()
def begin_with_components(tokenizer: Tokenizer, batch: Batch) -> None:
    """Set the straight way of every codec by moments of recordings, and let layers add nothing at first."""
    clips = Clips.of(batch, tokenizer.names)
    shown: dict[ModalityCodec, list[Tensor]] = {}
    for name, observed in clips.observations.items():
        codec = tokenizer.codec(name)
        seen = observed[clips.seen[name] & clips.valid]
        if len(seen):
            shown.setdefault(codec, []).append(codec.by_cell(codec.numbers(seen)).flatten(0, 1))
    for codec, parts in shown.items():
        _set(codec, torch.cat(parts))
    for layer in (tokenizer.narrow, *(codec.read for codec in shown)):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)


def _set(codec: ModalityCodec, cells: Tensor) -> None:
    """cells: (N, numbers)."""
    gain = SURE if codec.kind == "classes" else 1.0
    middle, count = cells.mean(0), min(codec.code.out_features, *cells.shape)
    # Chance only speeds it up.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _, sizes, directions = torch.svd_lowrank(cells - middle, q=min(count + 16, *cells.shape), niter=4)
    spread = sizes[:count] / len(cells) ** 0.5
    spread = torch.maximum(spread, LEAST * spread[0]).clamp_min(1e-4)
    scale = FIRST * (spread / spread[0]) ** FALL / spread
    codec.middle.copy_(middle)
    for layer in (codec.code, codec.uncode):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    codec.code.weight[:count] = (directions[:, :count] * scale).T
    codec.uncode.weight[:, :count] = gain * directions[:, :count] / scale
    codec.uncode.bias.copy_(gain * middle)
