"""The recurrent state-space part: what is uncertain about the world, in a recurrent state h and categorical latents z.

As DreamerV3 (arXiv 2301.04104): categorical latents with 1% of uniform mixed in, straight-through gradients, and a KL
balanced between prior and posterior with free nats.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learned_sim_env.spec import NUM_CLASSES, BevSpec
from learned_sim_env.world_model.layers import (
    MLP,
    GRUCell,
    Linear,
    Norm,
    PatchMixer,
    as_dtype,
    drawn,
    one_hot,
    patches,
    tempered,
)

UNIMIX = 0.01
PATCH = 8


class Encoder(nn.Module):
    """A view of class ids as a feature vector."""

    def __init__(self, bev: BevSpec, channels: int, size: int):
        super().__init__()
        tokens = bev.height * bev.width // PATCH**2
        self.embed = Linear(PATCH**2 * NUM_CLASSES, channels)
        self.mixers = nn.Sequential(PatchMixer(tokens, channels), PatchMixer(tokens, channels))
        self.narrow = Linear(channels, 32)
        self.out = nn.Sequential(Linear(tokens * 32, size), Norm(size))

    def forward(self, semantic: Tensor) -> Tensor:
        """(B, H, W) uint8 to (B, size)."""
        x = one_hot(patches(semantic, PATCH), NUM_CLASSES, self.embed.weight.dtype).flatten(2)
        return self.out(self.narrow(self.mixers(self.embed(x))).flatten(1))


class Latent(nn.Module):
    """h (B, hidden) and z (B, groups * classes), one-hot in each group."""

    def __init__(self, inputs: int, embedding: int, hidden: int, groups: int, classes: int):
        super().__init__()
        self.groups, self.classes = groups, classes
        self.hidden_size, self.z_size = hidden, groups * classes
        self.cell = GRUCell(self.z_size + inputs, hidden)
        self.foresight = nn.Sequential(Linear(hidden, hidden, bias=False), Norm(hidden), nn.SiLU())
        self.prior = Linear(hidden, self.z_size)
        self.posterior = MLP(hidden + embedding, (hidden,), self.z_size)

    def advance(self, h: Tensor, z: Tensor, inputs: Tensor) -> Tensor:
        """The next h from h, z and what is known of the step (B, inputs)."""
        return self.cell(torch.cat([z, inputs], -1), h)

    def foresee(self, h: Tensor) -> Tensor:
        """(B, hidden): what h says of what will be seen, in the dtype of the weights."""
        return self.foresight(as_dtype(h, self.prior.weight.dtype))

    def believed(self, foreseen: Tensor) -> Tensor:
        """Prior: probabilities (B, groups, classes) float32, before seeing, from what was foreseen (B, hidden)."""
        return self._mixed(self.prior(foreseen))

    def seen(self, h: Tensor, embedding: Tensor) -> Tensor:
        """Posterior: probabilities (B, groups, classes) float32, after seeing what `embedding` (B, E) encodes."""
        return self._mixed(self.posterior(torch.cat([h, embedding.to(h.dtype)], -1)))

    def _mixed(self, logits: Tensor) -> Tensor:
        probabilities = as_dtype(logits, torch.float32).unflatten(-1, (self.groups, self.classes)).softmax(-1)
        return (1 - UNIMIX) * probabilities + UNIMIX / self.classes

    def sample(self, probabilities: Tensor, uniforms: Tensor | None, temperature: float = 1.0) -> Tensor:
        """z (B, groups * classes) float32, drawn from probabilities (B, groups, classes).

        Their distribution is inverted at `uniforms` (B, groups); None takes its mode.
        """
        if uniforms is None or temperature == 0:
            index = probabilities.argmax(-1)
        else:
            index = drawn(tempered(probabilities, temperature), uniforms)
        z = one_hot(index, self.classes, torch.float32)
        if torch.is_grad_enabled():
            z = z + probabilities - probabilities.detach()
        return z.flatten(-2)
