"""SafeDreamer without planning (Huang et al. 2023, arXiv 2307.07176, BSRP-Lag): a Dreamer that keeps cost to a limit.

A second critic learns the cost to come. Where it is above its limit, cost has a price, which rises until it is not.
The original's penalty reaches its actor through differentiable dynamics; here the actor learns by the likelihood of
what it did, so the price weighs an advantage of cost against that of reward.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from learned_sim_env.agents.actor_critic.critic import Critic
from learned_sim_env.agents.actor_critic.dreamer import ActorCritic, Dreamer
from learned_sim_env.agents.actor_critic.dreamer_settings import DreamerSettings
from learned_sim_env.agents.actor_critic.lagrangian import MultiplierSettings, multiplier
from learned_sim_env.agents.experience.dreams import Segment


@dataclass(frozen=True, kw_only=True)
class SafeDreamerSettings(DreamerSettings):
    """Settings of `SafeDreamer`."""

    cost_weight: float = 0.0
    """Of a crash, subtracted from the reward; here the limit is what counts."""
    wrong_way_weight: float = 0.0
    """Of a step against the traffic, likewise."""
    cost_limit: float = 0.1
    """Discounted cost to come that is allowed, on average over where the policy drives: about the probability of a
    crash within 1 / (1 - gamma) steps."""
    multiplier: MultiplierSettings = field(default_factory=lambda: MultiplierSettings(kp=0.5, ki=0.05, kd=0.05))
    """How the price of cost is found; SafeDreamer's gains of the PID are a fifth, for runs many times as long."""


class SafeActorCritic(ActorCritic):
    """What a `SafeDreamer` learns."""

    def __init__(self, size: int, settings: SafeDreamerSettings):
        super().__init__(size, settings)
        self.cost_critic = Critic(size, settings.hidden, settings.slow_rate, settings.slow_weight)
        self.multiplier = multiplier(settings.multiplier)


class SafeDreamer(Dreamer):
    """See the module's docstring; the interface is `agent.Agent`."""

    settings: SafeDreamerSettings
    settings_class: ClassVar[type[Any]] = SafeDreamerSettings
    progress: ClassVar[tuple[str, ...]] = ("reward", "cost_to_come", "price")
    _price = 0.0

    def new_module(self, size: int) -> Any:
        """See `Dreamer`."""
        return SafeActorCritic(size, self.settings)

    def _judge(self, segment: Segment, inputs: Tensor) -> dict[str, Tensor]:
        told = super()._judge(segment, inputs)
        returns, advantages = self._returns(self.module.cost_critic, segment, inputs, segment.costs)
        self._price = price = self.module.multiplier.update(float(returns.mean()) - self.settings.cost_limit)
        # Divided, so that a high price does not make steps larger, but reward count for less.
        weighed = (told["advantages"] - price * (advantages - advantages.mean())) / (1 + price)
        held = self.module.cost_critic.held(inputs[:-1])
        return {**told, "advantages": weighed, "cost_returns": returns, "cost_held": held}

    def _critic_loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        costs = self.module.cost_critic.loss(batch["inputs"], batch["cost_returns"], batch["cost_held"])
        return super()._critic_loss(batch) + costs.mean()

    def _follow(self) -> None:
        super()._follow()
        self.module.cost_critic.follow()

    def _told(self, segment: Segment, told: Mapping[str, Tensor]) -> dict[str, float]:
        costs = {"cost_to_come": float(told["cost_returns"].mean()), "price": self._price}
        return {**super()._told(segment, told), **costs}
