"""A critic: the value of features, and a slow copy that steadies it."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from learned_sim_env.agents.actor_critic.precision import computed
from learned_sim_env.agents.actor_critic.two_hot import SymexpTwoHot
from learned_sim_env.world_model.layers import MLP


class Critic(nn.Module):
    """Values of standardised features as distributions (DreamerV3, arXiv 2301.04104, section "Critic learning").

    Its first values are all 0.

    Args:
        size: of the features.
        hidden: widths of the layers.
        rate: share of the way that the slow copy goes towards the critic at a time.
        regulariser: weight of the loss that holds the critic to its slow copy.
        bins, reach: see `SymexpTwoHot`.
    """

    def __init__(
        self,
        size: int,
        hidden: Sequence[int],
        rate: float = 0.02,
        regulariser: float = 0.1,
        bins: int = 255,
        reach: float = 8.0,
    ):
        super().__init__()
        self.rate, self.regulariser = rate, regulariser
        self.numbers = SymexpTwoHot(bins, reach)
        self.fast = MLP(size, tuple(hidden), len(self.numbers.bins))
        nn.init.zeros_(self.fast.output.weight)
        with torch.no_grad():
            self.fast.output.bias.copy_(self.numbers.first)
        self.slow = copy.deepcopy(self.fast).requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Values (N,) of inputs (N, size)."""
        return self.numbers.mean(computed(self.fast, inputs))

    def loss(self, inputs: Tensor, returns: Tensor, held: Tensor | None = None) -> Tensor:
        """Losses (N,) of inputs (N, size) with returns (N,), and with what was `held` (N,), if that is given."""
        logs = computed(self.fast, inputs).log_softmax(-1)
        loss = self.numbers.surprise(logs, returns)
        return loss if held is None else loss + self.regulariser * self.numbers.surprise(logs, held)

    @torch.no_grad()
    def held(self, inputs: Tensor) -> Tensor:
        """Values (N,) by the slow copy."""
        return self.numbers.mean(computed(self.slow, inputs))

    @torch.no_grad()
    def follow(self) -> None:
        """Move the slow copy a little towards the critic."""
        for slow, fast in zip(self.slow.parameters(), self.fast.parameters()):
            slow.lerp_(fast, self.rate)
