"""TD-MPC2's settings, and its model of the world, which draws nothing (Hansen et al. 2024, arXiv 2310.16828)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from learned_sim_env.agents.actor_critic.actors import Bounded, Spread
from learned_sim_env.agents.actor_critic.critic import Critic
from learned_sim_env.agents.actor_critic.returns import ReturnScale
from learned_sim_env.agents.actor_critic.two_hot import SymexpTwoHot
from learned_sim_env.agents.own_model.views import ViewEncoder, Views, ViewSettings
from learned_sim_env.agents.planning.search import SearchSettings
from learned_sim_env.settings import check_at_least, check_shares
from learned_sim_env.spec import Contract
from learned_sim_env.world_model.layers import MLP

# Of rewards and values.
BINS, REACH = 101, 10.0


@dataclass(frozen=True, kw_only=True)
class TDMPC2Settings(SearchSettings, ViewSettings):
    """Settings of `tdmpc2.TDMPC2`; the paper's, but for a smaller network and fewer plans."""

    horizon: int = 3
    """Steps of a plan, and of the stretches that are learned from."""
    batch: int = 128
    """Stretches an update learns from."""
    gamma: float = 0.99
    """Discount a step of 0.1 s."""
    critics: int = 5
    """Critics of decisions; the lower of two that are drawn is learned from."""
    simplex: int = 8
    """Numbers in each group of a latent, see `SimNorm`."""
    fading: float = 0.5
    """What a step of a stretch counts, compared with the one before it."""
    consistency: float = 20.0
    """Weight of what latents are off those of what was then seen."""
    numbers: float = 0.1
    """Weight of the losses of worth, ends and values."""
    entropy: float = 1e-4
    """Weight of the policy's entropy."""
    learning_rate: float = 3e-4
    """Of Adam; the encoder's is 0.3 of it."""
    clip: float = 20.0
    """Gradients are scaled down to this norm."""
    slow_rate: float = 0.01
    """Share of the way that slow critics go towards the others in an update."""
    proposals: int = 24
    """Of the plans, those that the policy decides."""
    sharpness: float = 0.5
    """See `mppi`."""

    def __post_init__(self) -> None:
        SearchSettings.__post_init__(self)
        ViewSettings.__post_init__(self)
        check_at_least(self, horizon=1, batch=1, critics=2, proposals=0)
        check_shares(self, "gamma", "fading", "slow_rate")
        if self.latent % self.simplex:
            raise ValueError(f"latent {self.latent} is no multiple of simplex {self.simplex}")
        if self.proposals >= self.sequences:
            raise ValueError(f"proposals {self.proposals} must be fewer than sequences {self.sequences}")


class SimNorm(nn.Module):
    """Numbers in groups, each a point of a simplex (section 3.1, eq. 5): a softmax over `size` of them.

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
