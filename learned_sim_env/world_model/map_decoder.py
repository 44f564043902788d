"""Static classes of a view, from the latent and from what is remembered of it: the part that imagines new road."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import BevSpec
from learned_sim_env.world_model.latent import PATCH
from learned_sim_env.world_model.layers import PatchMixer, RMSNorm, one_hot, patches, unpatch
from learned_sim_env.world_model.map_memory import NUM_STATIC, UNKNOWN

# How much a pixel counts in training: off-road, road, route, broken line, solid line, static object. Rare classes would
# be learned late or never otherwise.
CLASS_WEIGHTS = (1.0, 1.0, 1.2, 2.0, 2.0, 6.0)


class MapDecoder(nn.Module):
    """A few large matrix products over patches: fast on a CPU."""

    def __init__(self, bev: BevSpec, latent: int, channels: int):
        super().__init__()
        self.bev = bev
        self.num_tokens = bev.height * bev.width // PATCH**2
        self.remembered = nn.Linear(PATCH**2 * (UNKNOWN + 1), channels)
        self.imagined = nn.Sequential(
            nn.Linear(latent, 256, bias=False), RMSNorm(256), nn.SiLU(), nn.Linear(256, self.num_tokens * 64)
        )
        self.join = nn.Linear(64, channels)
        self.mixers = nn.Sequential(PatchMixer(self.num_tokens, channels), PatchMixer(self.num_tokens, channels))
        self.out = nn.Linear(channels, PATCH**2 * NUM_STATIC)

    def forward(self, latent: Tensor, remembered: Tensor) -> Tensor:
        """Logits (B, H, W, NUM_STATIC) from h and z (B, latent) and ids (B, H, W) uint8, UNKNOWN where not known."""
        x = self._tokens(latent, patches(remembered, PATCH))
        return unpatch(self.out(x), self.bev.height, self.bev.width, PATCH)

    def fill(self, latent: Tensor, remembered: Tensor) -> Tensor:
        """`remembered` with the likeliest class where it was UNKNOWN: (B, H, W) uint8."""
        ids = patches(remembered, PATCH)
        logits = self.out(self._tokens(latent, ids)).unflatten(-1, (-1, NUM_STATIC))
        # Training with weights makes rare classes seem likelier than they are.
        logits = logits - torch.tensor(CLASS_WEIGHTS, device=logits.device).log()
        blank = ids == UNKNOWN
        ids[blank] = logits[blank].argmax(-1).to(torch.uint8)
        return unpatch(ids, self.bev.height, self.bev.width, PATCH)[..., 0]

    def _tokens(self, latent: Tensor, ids: Tensor) -> Tensor:
        dtype = self.out.weight.dtype
        imagined = self.imagined(latent.to(dtype)).unflatten(-1, (self.num_tokens, 64))
        seen = self.remembered(one_hot(ids, UNKNOWN + 1, dtype).flatten(2))
        return self.mixers(seen + self.join(F.silu(imagined)))
