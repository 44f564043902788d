"""Two signals of how far a dreamt frame can be believed, after MMBench2's of hallucination.

How much samples of the frame from several noises differ, and how badly the tokenizer represents what it shows: tokens
that no picture has come back as others when they are drawn and encoded again. The noises are fixed, so that the signals
follow from the state and the action alone, and samples take one step each.
"""

from __future__ import annotations

import torch
from torch import Tensor

from learned_sim_env.world_model.protocol import Observation
from learned_sim_env.world_model.transformer.dynamics import Dynamics, Past
from learned_sim_env.world_model.transformer.sampler import sample_frame
from learned_sim_env.world_model.transformer.tokenizer import Tokenizer

# Added to how much a frame differs from the one before: that of a car that stands is next to nothing.
STILL = 0.02


def spread(
    network: Dynamics, patterns: Tensor, before: Tensor, condition_tokens: Tensor, past: Past, seeds: int
) -> Tensor:
    """(B,) root mean square distance of `seeds` samples of the next frame from their mean; 0 for less than two.

    patterns: (P, count, channels) noise, of which pairs with opposite signs are taken. before: see `sample_frame`.
    """
    if seeds < 2:
        return torch.zeros_like(patterns[past.frames % len(patterns), 0, 0])
    samples = []
    for k in range(seeds):
        noise = patterns[(past.frames + k // 2) % len(patterns)]
        samples.append(sample_frame(network, noise if k % 2 else -noise, before, condition_tokens, past, 1))
    middle = torch.stack(samples).mean(0)
    return torch.stack([_size(z - middle) for z in samples]).square().mean(0).sqrt()


def unlike_itself(tokenizer: Tokenizer, tokens: Tensor, before: Tensor, shown: Observation) -> Tensor:
    """(B,) RMS(z - enc(dec z)) / RMS(z - z_prev), of tokens (B, count, channels) of a frame and the one before.

    shown: dec z.
    """
    again = tokenizer.encode_alone(shown)
    return _size(tokens - again) / (_size(tokens - before) + STILL)


def _size(x: Tensor) -> Tensor:
    """(B,) root mean square of (B, count, channels)."""
    # In double precision: a CPU adds numbers of one row in another order than those of more.
    return x.double().square().mean((1, 2)).sqrt().float()
