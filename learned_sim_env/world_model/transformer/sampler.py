"""Shortcut forcing's sampler: a frame in K steps from noise, then committed to the past once, as training had it.

tau is the share of truth in a frame, of 0 to 1, d the size of a step (arXiv 2509.24527, section 3.2).
"""

from __future__ import annotations

import torch
from torch import Tensor

from learned_sim_env.world_model.transformer.dynamics import Dynamics, Past, Said


def mixed(clean: Tensor, noise: Tensor, tau: Tensor | float) -> Tensor:
    """Tokens of which a share tau is truth."""
    return (1 - tau) * noise + tau * clean


def believed(said: Tensor, noisy: Tensor, tau: Tensor | float, prediction: str) -> Tensor:
    """The clean tokens, from what the network says of noisy ones: themselves ("x"), or the direction towards them from
    noise ("v"), see `TransformerConfig.prediction`.
    """
    return said if prediction == "x" else noisy + (1 - tau) * said


def direction(noisy: Tensor, clean: Tensor, tau: Tensor | float) -> Tensor:
    """From noisy tokens towards what is believed to be clean, as far as tokens go; a step of size d is d times it."""
    return (clean.clamp(-1, 1) - noisy) / (1 - tau)


def dreamt(network: Dynamics, noise: Tensor, told: Tensor, past: Past, steps: int) -> Tensor:
    """The tokens (B, count, channels) float32 of the next frame, in [-1, 1].

    Args:
        network: the dynamics.
        noise: (B, count, channels), where it starts.
        told: (B, 2, width), see `Dynamics.told`.
        past: the frames before.
        steps: K.
    """
    c, z = network.config, noise
    stride = torch.full_like(past.frames, steps.bit_length() - 1)
    for k in range(steps):
        tau = k / steps
        level = torch.full_like(past.frames, k * c.finest // steps)
        said = network.next(z, level, stride, told, past)[0]
        z = z + direction(z, believed(said.clean, z, tau, c.prediction), tau) / steps
    return z.clamp(-1, 1)


def committed(network: Dynamics, clean: Tensor, noise: Tensor, told: Tensor, past: Past) -> tuple[Said, Past]:
    """The past with one more frame, and what is said of it.

    A frame is committed once, noisy to the one degree and with the one label that frames of the past have in a dream,
    and which training shows in every batch.

    clean, noise: (B, count, channels).
    """
    level = torch.full_like(past.frames, network.config.context_level)
    stride = torch.full_like(past.frames, network.config.finest.bit_length() - 1)
    noisy = mixed(clean, noise, network.config.context_level / network.config.finest)
    said, keys, values = network.next(noisy, level, stride, told, past)
    return said, past.then(keys, values)
