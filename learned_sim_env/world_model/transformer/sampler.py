"""Shortcut forcing's sampler: a frame in K steps from noise, then committed to the past once, as training had it.

tau is the share of truth in a frame, of 0 to 1, d the size of a step (arXiv 2509.24527, section 3.2).
"""

from __future__ import annotations

import torch
from torch import Tensor

from learned_sim_env.world_model.transformer.dynamics import Dynamics, Past, Prediction


def mixed(clean: Tensor, noise: Tensor, tau: Tensor | float) -> Tensor:
    """Tokens of which a share tau is truth."""
    return (1 - tau) * noise + tau * clean


def clean_estimate(output: Tensor, noisy: Tensor, tau: Tensor | float, prediction: str) -> Tensor:
    """The clean tokens, from what the network gives for noisy ones: themselves ("x"), or the direction towards them
    from noise ("v"), see `TransformerConfig.prediction`.
    """
    return output if prediction == "x" else noisy + (1 - tau) * output


def direction(noisy: Tensor, clean: Tensor, tau: Tensor | float) -> Tensor:
    """From noisy tokens towards the estimate of clean ones, within bounds; a step of size d is d times it."""
    return (clean.clamp(-1, 1) - noisy) / (1 - tau)


def sample_frame(
    network: Dynamics, noise: Tensor, before: Tensor, condition_tokens: Tensor, past: Past, steps: int
) -> Tensor:
    """The tokens (B, count, channels) float32 of the next frame, in [-1, 1].

    Args:
        network: the dynamics.
        noise: (B, count, channels), where it starts.
        before: (B, count, 2 * channels), the frame before, noisy, see `Dynamics.forward`.
        condition_tokens: (B, 2, width), see `Dynamics.condition_tokens`.
        past: the frames before.
        steps: K.
    """
    c, z = network.config, noise
    stride = torch.full_like(past.frames, steps.bit_length() - 1)
    for k in range(steps):
        tau = k / steps
        level = torch.full_like(past.frames, k * c.finest // steps)
        output = network.next(z, level, stride, condition_tokens, before, past)[0]
        z = z + direction(z, clean_estimate(output.clean, z, tau, c.prediction), tau) / steps
    return z.clamp(-1, 1)


def commit(
    network: Dynamics, clean: Tensor, noise: Tensor, before: Tensor, condition_tokens: Tensor, past: Past
) -> tuple[Prediction, Past]:
    """The past with one more frame, and the prediction of it.

    A frame is committed once, noisy to the one degree and with the one label that frames of the past have in a dream,
    and which training shows in every batch.

    clean, noise: (B, count, channels). before: see `sample_frame`.
    """
    level = torch.full_like(past.frames, network.config.context_level)
    stride = torch.full_like(past.frames, network.config.finest.bit_length() - 1)
    noisy = mixed(clean, noise, network.config.context_share)
    output, keys, values = network.next(noisy, level, stride, condition_tokens, before, past)
    return output, past.then(keys, values)
