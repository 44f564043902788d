"""Behavioural cloning: decide as was decided in recorded episodes (Dreamer 4, arXiv 2509.24527, section "Agent").

Several decisions ahead are predicted from the same features (multi-token prediction): the network has to see what
driving is about, where the next action alone can mostly be told from the last one. Only the first of them drives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from learned_sim_env.agents.actor_critic.actors import Spread, decision
from learned_sim_env.agents.actor_critic.latent_policy import LatentNetwork, LatentPolicy
from learned_sim_env.agents.decisions import ACTION_KINDS
from learned_sim_env.agents.experience.recorded import Moments, recorded_moments
from learned_sim_env.agents.settings import LearnConfig
from learned_sim_env.data.packed import PackedData
from learned_sim_env.settings import check_at_least
from learned_sim_env.spec import unknown
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.torch_state import own_state


@dataclass(frozen=True, kw_only=True)
class CloningSettings:
    """Settings of `Cloning`."""

    actions: str = "target-bins"
    """What is decided: targets, actions, target-bins, action-bins, or discrete."""
    hidden: tuple[int, ...] = (256, 256)
    """Widths of the layers."""
    ahead: int = 8
    """Decisions that are predicted from a moment on."""
    batch: int = 512
    """Moments an update learns from."""
    learning_rate: float = 3e-4
    """Of Adam."""
    spread: Spread = field(default_factory=Spread)
    """Of targets or actions."""

    def __post_init__(self) -> None:
        check_at_least(self, ahead=1, batch=1)
        if self.actions not in ACTION_KINDS:
            raise unknown("actions", self.actions, ACTION_KINDS)


class Later(nn.Linear):
    """Outputs for the decisions after the first one, from the layer below an actor's last."""

    def __init__(self, actor: LatentNetwork, ahead: int):
        self.ahead = ahead
        super().__init__(actor.layers.output.in_features, (ahead - 1) * ACTION_KINDS[actor.kind])

    def all(self, actor: LatentNetwork, inputs: Tensor) -> Tensor:
        """(N, ahead, n) outputs for all decisions from standardised features (N, size)."""
        below = inputs
        for layer in list(actor.layers)[:-1]:
            below = layer(below)
        return torch.cat([actor.layers.output(below), self(below)], -1).unflatten(-1, (self.ahead, -1))


def cloning_loss(actor: LatentNetwork, later: Later, moments: Moments, rows: Tensor, spread: Spread) -> Tensor:
    """() the mean of -ln p of what was decided at moments `rows` (n,) and after them."""
    numbers = later.all(actor, actor.inputs(moments.features[rows]))
    decided, known = moments.ahead(rows, later.ahead)
    logs = decision(actor.kind, numbers.flatten(0, 1), spread).log_prob(decided.flatten(0, 1))
    # Where little of an episode is left, what is not known teaches nothing.
    return -(logs * known.flatten()).sum() / known.sum().clamp_min(1)


class Cloner(nn.Module):
    """What a `Cloning` learns."""

    def __init__(self, size: int, settings: CloningSettings):
        super().__init__()
        self.actor = LatentNetwork(size, settings.hidden, settings.actions)
        self.later = Later(self.actor, settings.ahead)


class Cloning:
    """See the module's docstring; the interface is `agent.Agent`."""

    settings_class: ClassVar[type[Any]] = CloningSettings
    run_defaults: ClassVar[Mapping[str, Any]] = {"updates": 2000}
    needs_data: ClassVar[bool] = True
    learns: ClassVar[bool] = True
    by_features: ClassVar[bool] = True
    progress: ClassVar[tuple[str, ...]] = ("cloning",)

    def __init__(self, config: LearnConfig, settings: CloningSettings, checkpoint: Checkpoint, data: PackedData):
        self.config, self.settings, self.checkpoint = config, settings, checkpoint
        self.module = Cloner(checkpoint.model.latent_size, settings)
        self.optimizer = torch.optim.Adam(self.module.parameters(), settings.learning_rate)
        self.moments = recorded_moments(checkpoint, data, settings.actions)
        self.module.actor.inputs.fit(self.moments.features)

    def update(self, number: int) -> dict[str, float]:
        """See `agent.Agent`."""
        s = self.settings
        rows = torch.from_numpy(
            np.random.default_rng([self.config.seed, number]).integers(len(self.moments), size=s.batch)
        )
        with own_state():
            loss = cloning_loss(self.module.actor, self.module.later, self.moments, rows, s.spread)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        return {"cloning": float(loss.detach()), "steps": s.batch}

    def policy(self, about: Mapping[str, Any]) -> LatentPolicy:
        """See `agent.Agent`."""
        return LatentPolicy(self.module.actor, self.checkpoint, self.config.checkpoint, about)

    def memory(self) -> dict[str, Tensor]:
        """See `agent.Agent`."""
        return {}

    def recall(self, memory: dict[str, Tensor]) -> None:
        """See `agent.Agent`."""
