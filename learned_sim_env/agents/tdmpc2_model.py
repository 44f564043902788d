"""TD-MPC2's model of the world, which draws nothing (Hansen et al. 2024, arXiv 2310.16828, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from learned_sim_env.agents.actors import Bounded, Spread
from learned_sim_env.agents.critic import Critic
from learned_sim_env.agents.returns import ReturnScale
from learned_sim_env.agents.two_hot import SymexpTwoHot
from learned_sim_env.agents.views import ViewEncoder, Views
from learned_sim_env.spec import Contract
from learned_sim_env.world_model.layers import MLP

if TYPE_CHECKING:
    from learned_sim_env.agents.tdmpc2 import TDMPC2Settings

# Of rewards and values.
BINS, REACH = 101, 10.0


class SimNorm(nn.Module):
    """Numbers in groups, each a point of a simplex (eq. 5): a softmax over `size` of them.

    It bounds what dynamics give from step to step, and is what keeps latents from collapsing onto a point.
    """

    def __init__(self, size: int = 8):
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """(..., n * size) to the same shape."""
        return x.unflatten(-1, (-1, self.size)).softmax(-1).flatten(-2)


class TDMPC2Model(nn.Module):
    """Encoder, dynamics, reward, end, values and a policy, on latents (N, latent) and decisions (N, 2)."""

    def __init__(self, contract: Contract, names: Sequence[str], settings: TDMPC2Settings):
        super().__init__()
        s, size = settings, settings.latent + 2
        self.norm, self.spread, self.numbers = SimNorm(s.simplex), Spread(), SymexpTwoHot(BINS, REACH)
        self.encoder = ViewEncoder(contract, names, s)
        self.dynamics = MLP(size, s.hidden, s.latent)
        self.reward_head, self.end_head = MLP(size, s.hidden, BINS), MLP(size, s.hidden, 1)
        self.policy = MLP(s.latent, s.hidden, 4)
        self.critics = nn.ModuleList(Critic(size, s.hidden, s.slow_rate, 0.0, BINS, REACH) for _ in range(s.critics))
        self.scale = ReturnScale(s.slow_rate)
        nn.init.zeros_(self.reward_head.output.weight)
        with torch.no_grad():
            self.reward_head.output.bias.copy_(self.numbers.first)

    def encode(self, views: Views) -> Tensor:
        """(B, latent)."""
        return self.norm(self.encoder(views))

    def next(self, z: Tensor, decided: Tensor) -> Tensor:
        """(N, latent) one step later."""
        return self.norm(self.dynamics(torch.cat([z, decided], -1)))

    def reward(self, z: Tensor, decided: Tensor) -> Tensor:
        """(N,) what the step is worth."""
        return self.numbers.mean(self.reward_head(torch.cat([z, decided], -1)))

    def goes_on(self, z: Tensor, decided: Tensor) -> Tensor:
        """(N,) probability that the step ends no episode."""
        return 1 - self.end_head(torch.cat([z, decided], -1))[..., 0].sigmoid()

    def actor(self, z: Tensor) -> Bounded:
        """The policy's distribution of decisions."""
        return Bounded(self.policy(z), self.spread)

    def values(self, z: Tensor, decided: Tensor, held: bool = False, which: Sequence[int] | None = None) -> Tensor:
        """(k, N) by each critic, or those that `which` names; `held`: by their slow copies."""
        inputs = torch.cat([z, decided], -1)
        critics: list[Critic] = [self.critics[i] for i in range(len(self.critics)) if which is None or i in which]  # type: ignore[misc]
        return torch.stack([critic.held(inputs) if held else critic(inputs) for critic in critics])
