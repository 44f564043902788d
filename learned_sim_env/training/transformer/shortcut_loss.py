"""Shortcut forcing: what the dynamics are trained for (Dreamer 4, arXiv 2509.24527, section 3.2, equations 6 to 8).

Every frame of a clip has a share of truth tau and a step size d of its own. At the finest step the network learns the
clean tokens; at others to get in one step where it gets itself in two steps of half the size (shortcut models, arXiv
2410.12557). In units of clean tokens, (1 - tau)^2 |(zhat - z~) / (1 - tau) - v|^2 is |zhat - (z~ + (1 - tau) v)|^2: one
target is learned, whatever d is. Errors are in variances of the noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from learned_sim_env.training.reductions import masked_mean
from learned_sim_env.world_model.transformer.config import TransformerConfig
from learned_sim_env.world_model.transformer.dynamics import Condition, Dynamics, Prediction
from learned_sim_env.world_model.transformer.sampler import clean_estimate, direction, mixed


@dataclass(frozen=True)
class ForcingConfig:
    """How frames are made noisy, and what counts how much."""

    ramp: bool = True  # weigh frames by 0.9 tau + 0.1: the more truth is in them, the more there is to learn
    context: float = 0.25  # share of clips in which all frames are as frames of the past are in a dream
    coarse: float = 0.5  # share of the other clips that learn large steps; others only the finest one
    moving: float = 0.5  # share of a token's weight that goes by how far the moved frame before is from it


class Noise(NamedTuple):
    """level, stride: (B, T) int64, see `Dynamics.forward`. past: (B,) bool, clips that are all past. coarse: (B,) bool,
    clips of which frames may have large steps.
    """

    level: Tensor
    stride: Tensor
    past: Tensor
    coarse: Tensor


def drawn_noise(shape: tuple[int, int], model: TransformerConfig, config: ForcingConfig, device: torch.device) -> Noise:
    """For (B, T) frames: d of 1 / U{1, 2, 4 .. finest}, tau of U{0, d .. 1 - d}; the shares of clips hold exactly but
    for what is rounded.
    """
    clips = shape[0]
    past = round(config.context * clips)
    coarse = round(config.coarse * (clips - past))
    kind = torch.arange(clips, device=device)
    is_past, is_coarse = kind < past, (kind >= past) & (kind < past + coarse)
    last = model.finest.bit_length() - 1
    stride = torch.where(is_coarse[:, None], torch.randint(last + 1, shape, device=device), last)
    steps = 2**stride
    # The uniform is below 1, and the product with a power of two exact.
    level = (torch.rand(shape, device=device) * steps).long() * (model.finest // steps)
    level = torch.where(is_past[:, None], model.context_level, level)
    return Noise(level, stride, is_past, is_coarse)


def shortcut_loss(
    network: Dynamics,
    clean: Tensor,
    before: Tensor,
    condition: Condition,
    valid: Tensor,
    noise: Noise,
    ramp: bool = True,
    weights: Tensor | None = None,
) -> tuple[Tensor, Prediction]:
    """The loss, and the prediction of all frames.

    clean, before: (B, T, N, channels) and (B, T, N, 2 * channels), frames, and of each the one before it, moved and as
    it was; without gradient. condition: of (B, T). valid: (B, T) bool, frames that count. weights: (B, T, N) of their
    tokens, None: alike.
    """
    config = network.config
    tau = (noise.level / config.finest)[..., None, None]
    noisy = mixed(clean, config.noise * torch.randn_like(clean), tau)
    # With other noise than the frame itself: from two mixtures of the same one could tell the truth.
    veiled = mixed(before, config.noise * torch.randn_like(before), config.context_share)
    output = network(noisy, noise.level, noise.stride, condition, veiled)
    target = clean
    if bool(noise.coarse.any()):
        chosen = noise.coarse.nonzero()[:, 0]
        part = Condition(*(x[chosen] for x in condition))
        level, stride = noise.level[chosen], noise.stride[chosen]
        better = bootstrapped(network, clean[chosen], noisy[chosen], level, stride, part, veiled[chosen])
        target = target.index_copy(0, chosen, better)
    error = (clean_estimate(output.clean, noisy, tau, config.prediction) - target).square() / config.noise**2
    if config.prediction == "v":
        # Of the direction itself, which is what the network gives.
        error = error / (1 - tau).square()
    weight = 0.9 * tau[..., 0, 0] + 0.1 if ramp else torch.ones_like(tau[..., 0, 0])
    error = error.mean(-1) if weights is None else error.mean(-1) * weights
    return masked_mean(weight * error.mean(-1), valid), output


def moving_weights(clean: Tensor, moved: Tensor, valid: Tensor, share: float) -> Tensor:
    """Weights (B, T, N) near 1 of tokens: a share goes by how far they are from those of the frame before, moved, which
    is what is left to learn; up to five times the mean.

    clean, moved: (B, T, N, channels). valid: (B, T) bool, frames that count.
    """
    change = (clean - moved).square().mean(-1).sqrt()
    mean = masked_mean(change, valid[..., None].expand(change.shape)).clamp_min(1e-6)
    return 1 - share + share * (change / mean).clamp_max(5.0)


@torch.no_grad()
def bootstrapped(
    network: Dynamics,
    clean: Tensor,
    noisy: Tensor,
    level: Tensor,
    stride: Tensor,
    condition: Condition,
    before: Tensor,
) -> Tensor:
    """The target for noisy frames (B, T, N, channels), of their `level` and `stride` (B, T); `before`: see `Dynamics`.

    At the finest step the clean tokens; at others what leads in one step to where the network gets in two, of which it
    goes the second from where the first has led.
    """
    c = network.config
    finest = c.finest.bit_length() - 1
    coarse = stride < finest
    half, d = (stride + 1).clamp_max(finest), (2.0**-stride)[..., None, None]
    tau = (level / c.finest)[..., None, None]

    def towards(z: Tensor, level: Tensor, tau: Tensor) -> Tensor:
        output = network(z, level, half, condition, before).clean
        return direction(z, clean_estimate(output, z, tau, c.prediction), tau)

    first = towards(noisy, level, tau)
    there = coarse[..., None, None]
    # Frames of the finest step stay where they are while the others go on.
    later = torch.where(coarse, level + c.finest // (2 * 2 ** stride.clamp_max(finest - 1)), level)
    second = towards(torch.where(there, noisy + first * d / 2, noisy), later, torch.where(there, tau + d / 2, tau))
    return torch.where(there, noisy + (1 - tau) * (first + second) / 2, clean)
