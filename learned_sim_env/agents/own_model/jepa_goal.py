"""A predictor of embeddings, learned without a decoder and without rewards, that plans to a goal view by CEM.

As V-JEPA 2-AC (arXiv 2506.09985) and PLDM (arXiv 2502.14819): embeddings of what is seen are predicted from decisions;
variance and covariance terms keep them from collapsing (VICReg, arXiv 2105.04906), and decisions must be told from
successive ones. A plan is good if its end is near the embedding of the goal view.

Whole routes have no goal view that could be given. So the agent keeps recorded moments, and what was seen `horizon`
steps after each; as it drives, the goal is what followed the most rewarding of the moments most like the present one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.agents.own_model.recorded_steps import RecordedSteps
from learned_sim_env.agents.own_model.view_policy import ViewPolicy
from learned_sim_env.agents.own_model.views import ViewEncoder, Views, ViewSettings
from learned_sim_env.agents.planning.cem import cem_refit
from learned_sim_env.agents.planning.search import Plan, SearchSettings, search
from learned_sim_env.agents.settings import LearnConfig
from learned_sim_env.data.packed import PackedData
from learned_sim_env.settings import check_at_least, check_shares
from learned_sim_env.spec import Contract
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.layers import MLP
from learned_sim_env.world_model.torch_state import own_state

# Moments that are embedded at a time.
TOGETHER = 256


@dataclass(frozen=True, kw_only=True)
class JepaGoalSettings(SearchSettings, ViewSettings):
    """Settings of `JepaGoal`."""

    latent: int = 64
    """Numbers of an embedding."""
    horizon: int = 5
    """Steps of a plan, of the stretches that are learned from, and to the goal view."""
    batch: int = 128
    """Stretches an update learns from."""
    variance: float = 1.0
    """Weight of what deviations of embeddings are below 1."""
    covariance: float = 0.04
    """Weight of what their numbers tell of each other."""
    inverse: float = 1.0
    """Weight of the loss of decisions that are told from two successive embeddings."""
    learning_rate: float = 1e-3
    """Of Adam."""
    clip: float = 10.0
    """Gradients are scaled down to this norm."""
    kept: int = 2048
    """Recorded moments that goals are found among."""
    neighbours: int = 16
    """Of them, those most like the present, of which the most rewarding one is followed."""
    momentum: float = 0.1
    """See `cem`."""
    iterations: int = 10
    """Times plans are drawn."""

    def __post_init__(self) -> None:
        SearchSettings.__post_init__(self)
        ViewSettings.__post_init__(self)
        check_at_least(self, horizon=1, batch=2, kept=1, neighbours=1)
        check_shares(self, "momentum")


class Jepa(nn.Module):
    """Encoder, predictor and inverse model; and recorded moments that goals are found among."""

    now: Tensor
    later: Tensor
    worth: Tensor

    def __init__(self, contract: Contract, names: Sequence[str], settings: JepaGoalSettings):
        super().__init__()
        s = settings
        self.encoder = ViewEncoder(contract, names, s)
        self.predictor = MLP(s.latent + 2, s.hidden, s.latent)
        self.inverse = MLP(2 * s.latent, s.hidden[:1], 2)
        self.register_buffer("now", torch.zeros(s.kept, s.latent))
        self.register_buffer("later", torch.zeros(s.kept, s.latent))
        self.register_buffer("worth", torch.zeros(s.kept))

    def predict(self, z: Tensor, decided: Tensor) -> Tensor:
        """(N, latent) one step later, from embeddings (N, latent) and decisions (N, 2)."""
        return z + self.predictor(torch.cat([z, decided], -1))

    def goal(self, z: Tensor, neighbours: int) -> Tensor:
        """(latent,) what followed the most rewarding of the moments most like an embedding (latent,)."""
        near = (self.now - z).square().sum(1).topk(min(neighbours, len(self.now)), largest=False).indices
        return self.later[near[self.worth[near].argmax()]]


def spread_losses(z: Tensor) -> tuple[Tensor, Tensor]:
    """VICReg's terms of embeddings (N, latent), (): what deviations are below 1, and squared covariances."""
    centred = z - z.mean(0)
    variance = F.relu(1 - (z.var(0) + 1e-4).sqrt()).mean()
    covariance = centred.T @ centred / (len(z) - 1)
    other = covariance - torch.diag(covariance.diagonal())
    return variance, other.square().sum() / z.shape[1]


class JepaGoal:
    """See the module's docstring; the interface is `agent.Agent`."""

    settings_class: ClassVar[type[Any]] = JepaGoalSettings
    run_defaults: ClassVar[Mapping[str, Any]] = {"updates": 3000}
    needs_data: ClassVar[bool] = True
    learns: ClassVar[bool] = True
    by_features: ClassVar[bool] = False
    progress: ClassVar[tuple[str, ...]] = ("prediction", "variance")

    def __init__(self, config: LearnConfig, settings: JepaGoalSettings, checkpoint: Checkpoint, data: PackedData):
        self.config, self.settings, self.checkpoint = config, settings, checkpoint
        self.steps = RecordedSteps(checkpoint, data, settings, settings.horizon)
        self.module: Any = self.new_module(checkpoint.contract, checkpoint.model.observes, settings)
        self.optimizer = torch.optim.Adam(self.module.parameters(), settings.learning_rate)

    @staticmethod
    def new_module(contract: Contract, names: Sequence[str], settings: JepaGoalSettings) -> Jepa:
        """See `ViewPolicy`."""
        return Jepa(contract, names, settings)

    @staticmethod
    def mind(module: Jepa, settings: JepaGoalSettings, seed: int) -> GoalPlanner:
        """See `ViewPolicy`."""
        return GoalPlanner(module, settings, seed)

    def update(self, number: int) -> dict[str, float]:
        """See `agent.Agent`."""
        s, model = self.settings, self.module
        window = self.steps.sample(s.batch, np.random.default_rng([self.config.seed, number]))
        with own_state():
            seen = [model.encoder(self.steps.views(window.rows[:, t])) for t in range(s.horizon + 1)]
            z, predicted, told = seen[0], [], []
            for t in range(s.horizon):
                z = model.predict(z, window.decided[:, t])
                predicted.append((z - seen[t + 1]).square().mean())
                told.append(F.mse_loss(model.inverse(torch.cat([seen[t], seen[t + 1]], 1)), window.decided[:, t]))
            variance, covariance = spread_losses(torch.stack(seen).flatten(0, 1))
            losses = {
                "prediction": torch.stack(predicted).mean(),
                "variance": variance,
                "covariance": covariance,
                "inverse": torch.stack(told).mean(),
            }
            weights = {"variance": s.variance, "covariance": s.covariance, "inverse": s.inverse}
            total = sum((weights.get(name, 1.0) * loss for name, loss in losses.items()), torch.zeros(()))
            self.optimizer.zero_grad(set_to_none=True)
            total.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), s.clip)
            self.optimizer.step()
        return {**{name: float(loss.detach()) for name, loss in losses.items()}, "steps": window.worth.numel()}

    def policy(self, about: Mapping[str, Any]) -> ViewPolicy:
        """See `agent.Agent`."""
        window = self.steps.sample(self.settings.kept, np.random.default_rng(self.config.seed))
        with own_state(), torch.inference_mode():
            self.module.now.copy_(self._embedded(window.rows[:, 0]))
            self.module.later.copy_(self._embedded(window.rows[:, -1]))
            self.module.worth.copy_(window.worth.sum(1))
        names = tuple(self.checkpoint.model.observes)
        return ViewPolicy(self.config.agent, self.settings, self.module, self.checkpoint.contract, names, about)

    def _embedded(self, rows: np.ndarray) -> Tensor:
        parts = np.array_split(rows, max(1, len(rows) // TOGETHER))
        return torch.cat([self.module.encoder(self.steps.views(part)) for part in parts])

    def memory(self) -> dict[str, Tensor]:
        """See `agent.Agent`."""
        return {}

    def recall(self, memory: dict[str, Tensor]) -> None:
        """See `agent.Agent`."""


class GoalPlanner:
    """Plans for one row by CEM; see `view_policy.Mind`.

    goal: views of where to go, a batch of one; without, goals are found among recorded moments.
    """

    def __init__(self, model: Jepa, settings: JepaGoalSettings, seed: int, goal: Views | None = None):
        self._model, self._s, self._goal = model, settings, goal
        self._chance = np.random.default_rng(seed)
        shape = (settings.horizon, 2)
        self._begin = Plan(np.zeros(shape), np.full(shape, settings.first))

    def decide(self, views: Mapping[str, Tensor]) -> np.ndarray:
        """See `view_policy.Mind`."""
        s, z = self._s, self._model.encoder(views)[0]
        goal = self._model.goal(z, s.neighbours) if self._goal is None else self._model.encoder(self._goal)[0]

        def evaluate(plans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            given, now = torch.from_numpy(plans), z.expand(len(plans), -1)
            for t in range(s.horizon):
                now = self._model.predict(now, given[:, t])
            return -(now - goal).square().sum(1).numpy().astype(np.float64), np.zeros(len(plans))

        plan = search(evaluate, cem_refit(s.elites, s.momentum), self._begin, s, self._chance)
        self._begin = plan.later(1, s.first)
        return plan.mean[0].astype(np.float32)
