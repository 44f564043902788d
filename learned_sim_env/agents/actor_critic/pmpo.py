"""PMPO in imagination, offline (Dreamer 4, arXiv 2509.24527, section "Imagination training"; arXiv 2410.04166).

First the actor clones recorded episodes; then it improves on that in dreams which begin at recorded moments, held to
what it cloned. No simulator is stepped. An update counts which imagined steps went better than the critic expected and
which worse, not by how much, so that neither large rewards nor a few of them carry the rest away. The probability of
what went worse is pushed down without end where densities have none: so bins, or discrete actions, are decided,
whose logarithms have a bound.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.agents.actor_critic.actors import chosen
from learned_sim_env.agents.actor_critic.cloning import Later, cloning_loss
from learned_sim_env.agents.actor_critic.dreamer import ActorCritic, Dreamer
from learned_sim_env.agents.actor_critic.dreamer_settings import DreamerSettings
from learned_sim_env.agents.actor_critic.precision import computed
from learned_sim_env.agents.decisions import are_bins
from learned_sim_env.agents.experience.dreams import Segment
from learned_sim_env.agents.experience.recorded import Moments, recorded_moments
from learned_sim_env.agents.settings import LearnConfig
from learned_sim_env.data.packed import PackedData
from learned_sim_env.settings import check_at_least, check_shares
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.torch_state import own_state


@dataclass(frozen=True, kw_only=True)
class PMPOSettings(DreamerSettings):
    """Settings of `PMPO`."""

    actions: str = "target-bins"
    """What is decided: target-bins (sideways and speed, which a route follower carries out), action-bins (steer and
    throttle_brake), or discrete (30 actions)."""
    dream: int = 30
    """Steps after which a dream is left and another begins at a recorded moment; its value is then estimated. 0: as for
    dreamer."""
    cloning: int = 1000
    """Updates of cloning before the others."""
    ahead: int = 8
    """Decisions that are predicted from a moment on while cloning."""
    batch: int = 512
    """Recorded moments that such an update learns from."""
    alpha: float = 0.5
    """Weight of what went better; the rest is that of what went worse."""
    beta: float = 0.3
    """Weight of the divergence from what was cloned."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, cloning=0, ahead=1, batch=1, beta=0)
        check_shares(self, "alpha")
        if not are_bins(self.actions) and self.actions != "discrete":
            raise ValueError(
                f"actions is {self.actions}, whose probabilities have no bound: PMPO takes target-bins, action-bins or "
                "discrete"
            )


def pmpo_loss(logs: Tensor, advantages: Tensor, divergence: Tensor, alpha: float, beta: float) -> Tensor:
    """() the loss of Dreamer 4, eq. 11: the signs of advantages decide, each side averaged for itself.

    Args:
        logs: (N,) ln p of what was decided.
        advantages: (N,), of which the sign counts.
        divergence: (N,) from the prior.
        alpha, beta: see `PMPOSettings`.
    """
    better = (advantages >= 0).to(logs.dtype)
    worse = 1 - better
    gain = alpha * (better * logs).sum() / better.sum().clamp_min(1)
    loss = (1 - alpha) * (worse * logs).sum() / worse.sum().clamp_min(1)
    return loss - gain + beta * divergence.mean()


class PMPOActorCritic(ActorCritic):
    """What a `PMPO` learns, and what was cloned."""

    def __init__(self, size: int, settings: PMPOSettings):
        super().__init__(size, settings)
        self.later = Later(self.actor, settings.ahead)
        self.prior = copy.deepcopy(self.actor.layers).requires_grad_(False)


class PMPO(Dreamer):
    """See the module's docstring; the interface is `agent.Agent`."""

    settings: PMPOSettings
    settings_class: ClassVar[type[Any]] = PMPOSettings
    run_defaults: ClassVar[Mapping[str, Any]] = {"updates": 2000}
    needs_data: ClassVar[bool] = True
    progress: ClassVar[tuple[str, ...]] = ("reward", "value", "cloning")

    def __init__(self, config: LearnConfig, settings: PMPOSettings, checkpoint: Checkpoint, data: PackedData):
        super().__init__(config, settings, checkpoint, data)
        self.module.actor.inputs.fit(self.moments.features)

    def _recorded(self, data: PackedData | None) -> Moments:
        assert data is not None
        return recorded_moments(self.checkpoint, data, self.settings.actions)

    def new_module(self, size: int) -> Any:
        """See `Dreamer`."""
        return PMPOActorCritic(size, self.settings)

    def update(self, number: int) -> dict[str, float]:
        """See `agent.Agent`."""
        module, s = self.module, self.settings
        if number < s.cloning:
            return self._clone(number)
        if number == s.cloning:
            module.prior.load_state_dict(module.actor.layers.state_dict())
        return super().update(number)

    def _clone(self, number: int) -> dict[str, float]:
        chance, s = np.random.default_rng([self.config.seed, number]), self.settings
        rows = torch.from_numpy(chance.integers(len(self.moments), size=s.batch))
        self._warm_up(number)
        with own_state():
            loss = cloning_loss(self.module.actor, self.module.later, self.moments, rows, s.spread)
            self._descend(loss)
        return {"cloning": float(loss.detach()), "steps": s.batch}

    def _fit_inputs(self, features: Tensor) -> None:
        """They are those of the recorded moments."""

    def _judge(self, segment: Segment, inputs: Tensor) -> dict[str, Tensor]:
        told = super()._judge(segment, inputs)
        return {**told, "advantages": told["above"]}

    def _actor_loss(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        s, module = self.settings, self.module
        actor = chosen(s.actions, computed(module.actor.layers, batch["inputs"]))
        divergence = actor.divergence(chosen(s.actions, computed(module.prior, batch["inputs"])))
        logs = actor.log_prob(batch["decided"])
        loss = pmpo_loss(logs, batch["advantages"], divergence, s.alpha, s.beta)
        better = (batch["advantages"] >= 0).float().mean()
        return loss, {"divergence": divergence.mean(), "better": better, "entropy": actor.entropy().mean()}
