"""TD-MPC2 (Hansen et al. 2024, arXiv 2310.16828): plans in a model without a decoder, learned from recorded episodes.

A peer to compare with: it sees the same observations and episodes as the world models here, and shares nothing else
with them. Its values are learned from what others drove, without new experience.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.agents.own_model.recorded_steps import RecordedSteps, Window
from learned_sim_env.agents.own_model.tdmpc2_model import TDMPC2Model, TDMPC2Settings
from learned_sim_env.agents.own_model.view_policy import ViewPolicy
from learned_sim_env.agents.planning.mppi import mppi_refit
from learned_sim_env.agents.planning.search import Plan, search
from learned_sim_env.agents.settings import LearnConfig
from learned_sim_env.data.packed import PackedData
from learned_sim_env.spec import Contract
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.torch_state import own_state


class TDMPC2:
    """See the module's docstring; the interface is `agent.Agent`."""

    settings_class: ClassVar[type[Any]] = TDMPC2Settings
    run_defaults: ClassVar[Mapping[str, Any]] = {"updates": 5000}
    needs_data: ClassVar[bool] = True
    learns: ClassVar[bool] = True
    by_features: ClassVar[bool] = False
    progress: ClassVar[tuple[str, ...]] = ("consistency", "value")

    def __init__(self, config: LearnConfig, settings: TDMPC2Settings, checkpoint: Checkpoint, data: PackedData):
        self.config, self.settings, self.checkpoint = config, settings, checkpoint
        self.steps = RecordedSteps(checkpoint, data, settings, settings.horizon)
        self.module: Any = self.new_module(checkpoint.contract, checkpoint.model.observes, settings)
        rate, parts = settings.learning_rate, self.module.named_parameters()
        learned = {name: weight for name, weight in parts if weight.requires_grad}
        rates = {True: 0.3 * rate, False: rate}
        groups = [
            {
                "params": [w for n, w in learned.items() if n.startswith("encoder.") == of_encoder],
                "lr": rates[of_encoder],
            }
            for of_encoder in rates
        ]
        self.optimizer = torch.optim.Adam(groups)

    @staticmethod
    def new_module(contract: Contract, names: Sequence[str], settings: TDMPC2Settings) -> TDMPC2Model:
        """See `ViewPolicy`."""
        return TDMPC2Model(contract, names, settings)

    @staticmethod
    def mind(module: TDMPC2Model, settings: TDMPC2Settings, seed: int) -> LatentPlanner:
        """See `ViewPolicy`."""
        return LatentPlanner(module, settings, seed)

    def update(self, number: int) -> dict[str, float]:
        """See `agent.Agent`."""
        s, chance = self.settings, np.random.default_rng([self.config.seed, number])
        generator = torch.Generator().manual_seed(int(chance.integers(2**62)))
        window = self.steps.sample(s.batch, chance)
        with own_state():
            losses, latents = self._model_losses(window, chance, generator)
            policy = self._policy_loss(latents.detach(), chance, generator)
            total = s.consistency * losses["consistency"] + policy
            total = total + s.numbers * (losses["worth"] + losses["ends"] + losses["values"])
            self.optimizer.zero_grad(set_to_none=True)
            total.backward()
            norm = torch.nn.utils.clip_grad_norm_(self.module.parameters(), s.clip)
            self.optimizer.step()
            for critic in self.module.critics:
                critic.follow()
        told = {name: float(value.detach()) for name, value in {**losses, "policy": policy, "gradient": norm}.items()}
        return {**told, "steps": window.worth.numel()}

    def _model_losses(
        self, window: Window, chance: np.random.Generator, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Losses of a stretch, later steps fading, and its latents (T, B, latent) but for the last ones."""
        s, model = self.settings, self.module
        fades = s.fading ** torch.arange(s.horizon, dtype=torch.float32)
        with torch.no_grad():
            later = [model.encode(self.steps.views(window.rows[:, t + 1])) for t in range(s.horizon)]
            targets = [self._target(z, window, t, chance, generator) for t, z in enumerate(later)]
        z, latents = model.encode(self.steps.views(window.rows[:, 0])), []
        losses: dict[str, list[Tensor]] = {"consistency": [], "worth": [], "ends": [], "values": []}
        for t in range(s.horizon):
            latents.append(z)
            decided = window.decided[:, t]
            inputs = torch.cat([z, decided], -1)
            losses["worth"].append(model.numbers.loss(model.reward_head(inputs), window.worth[:, t]).mean())
            ended = 1 - window.goes_on[:, t]
            losses["ends"].append(F.binary_cross_entropy_with_logits(model.end_head(inputs)[:, 0], ended))
            by_critic = [critic.loss(inputs, targets[t]).mean() for critic in model.critics]
            losses["values"].append(torch.stack(by_critic).mean())
            z = model.next(z, decided)
            losses["consistency"].append(F.mse_loss(z, later[t]))
        faded = {name: (fades * torch.stack(values)).mean() for name, values in losses.items()}
        return {**faded, "value": torch.stack(targets).mean()}, torch.stack(latents)

    def _target(
        self, z: Tensor, window: Window, t: int, chance: np.random.Generator, generator: torch.Generator
    ) -> Tensor:
        """(B,) what step t is worth and what follows it, by the lower of two slow critics, at latents after it."""
        model = self.module
        decided = model.actor(z).draw(torch.randn(len(z), 2, generator=generator)).clamp(-1, 1)
        pair = chance.choice(self.settings.critics, 2, replace=False).tolist()
        value = model.values(z, decided, held=True, which=pair).min(0).values
        return window.worth[:, t] + self.settings.gamma * window.goes_on[:, t] * value

    def _policy_loss(self, latents: Tensor, chance: np.random.Generator, generator: torch.Generator) -> Tensor:
        """() by critics that stay as they are."""
        s, model = self.settings, self.module
        horizon, batch, _ = latents.shape
        flat = latents.flatten(0, 1)
        actor = model.actor(flat)
        decided = actor.draw(torch.randn(len(flat), 2, generator=generator)).clamp(-1, 1)
        critics = list(model.critics.parameters())
        learned = [weight for weight in critics if weight.requires_grad]
        for weight in learned:
            weight.requires_grad_(False)
        pair = chance.choice(s.critics, 2, replace=False).tolist()
        values = model.values(flat, decided, which=pair).mean(0)
        for weight in learned:
            weight.requires_grad_(True)
        gain = values / model.scale.update(values.detach()) + s.entropy * actor.entropy()
        fades = s.fading ** torch.arange(horizon, dtype=torch.float32)
        return -(fades[:, None] * gain.view(horizon, batch)).mean()

    def policy(self, about: Mapping[str, Any]) -> ViewPolicy:
        """See `agent.Agent`."""
        names = tuple(self.checkpoint.model.observes)
        return ViewPolicy(self.config.agent, self.settings, self.module, self.checkpoint.contract, names, about)

    def memory(self) -> dict[str, Tensor]:
        """See `agent.Agent`."""
        return {}

    def recall(self, memory: dict[str, Tensor]) -> None:
        """See `agent.Agent`."""


class LatentPlanner:
    """Plans for one row by MPPI in the model's latents, helped by its policy and critics; see `view_policy.Mind`."""

    def __init__(self, model: TDMPC2Model, settings: TDMPC2Settings, seed: int):
        self._model, self._s = model, settings
        self._chance = np.random.default_rng(seed)
        self._generator = torch.Generator().manual_seed(seed)
        shape = (settings.horizon, 2)
        self._begin = Plan(np.zeros(shape), np.full(shape, settings.first))

    def decide(self, views: Mapping[str, Tensor]) -> np.ndarray:
        """See `view_policy.Mind`."""
        s, z = self._s, self._model.encode(views)
        plan = search(
            lambda plans: self._evaluate(z, plans),
            mppi_refit(s.elites, s.sharpness),
            self._begin,
            s,
            self._chance,
            self._proposed(z),
        )
        self._begin = plan.later(1, s.first)
        return plan.mean[0].astype(np.float32)

    def _evaluate(self, z: Tensor, plans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        model, given = self._model, torch.from_numpy(plans)
        z = z.expand(len(given), -1)
        worth, weight = torch.zeros(len(given)), torch.ones(len(given))
        for t in range(self._s.horizon):
            decided = given[:, t]
            worth = worth + weight * model.reward(z, decided)
            weight = self._s.gamma * weight * model.goes_on(z, decided)
            z = model.next(z, decided)
        worth = worth + weight * model.values(z, model.actor(z).mean).mean(0)
        return worth.numpy().astype(np.float64), np.zeros(len(given))

    def _proposed(self, z: Tensor) -> np.ndarray:
        s, model = self._s, self._model
        z, plans = z.expand(s.proposals, -1), []
        for _ in range(s.horizon):
            plans.append(model.actor(z).draw(torch.randn(len(z), 2, generator=self._generator)).clamp(-1, 1))
            z = model.next(z, plans[-1])
        return torch.stack(plans, 1).numpy()
