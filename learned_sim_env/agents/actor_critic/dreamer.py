"""DreamerV3's actor and critic (Hafner et al. 2023, arXiv 2301.04104) in a frozen world model.

Rows of imagination go on from update to update, so that few real moments give many states: what an actor does is
answered for up to `dream` steps, where the original begins anew after each horizon. Steps after an event that was drawn
are not imagined; the probability of it, not the draw, is what returns are computed with. The loss on replayed real
values is left out, since there is no replay: recorded episodes were driven by others.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from learned_sim_env.agents.actor_critic.actors import Decision, decision, drawn_noise
from learned_sim_env.agents.actor_critic.clipping import clip_adaptively
from learned_sim_env.agents.actor_critic.critic import Critic
from learned_sim_env.agents.actor_critic.dreamer_settings import DreamerSettings
from learned_sim_env.agents.actor_critic.latent_policy import LatentNetwork, LatentPolicy
from learned_sim_env.agents.actor_critic.precision import computed
from learned_sim_env.agents.actor_critic.returns import ReturnScale, lambda_returns
from learned_sim_env.agents.decisions import carried_out, centred
from learned_sim_env.agents.experience.dreams import Dreams, Segment
from learned_sim_env.agents.experience.recorded import Moments, real_moments, recorded_moments
from learned_sim_env.agents.settings import LearnConfig
from learned_sim_env.data.packed import PackedData
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.torch_state import own_state

# Where the first policy drives to, and how fast or with how much throttle: one that stands still learns nothing.
START = (0.0, 0.3)
# Factor of the actor's last weights at first, so that it begins nearly without preferences.
SMALL = 0.01


class ActorCritic(nn.Module):
    """What a `Dreamer` learns, and an average of the actor's weights, which drives more steadily than the newest."""

    averaged_steps: Tensor

    def __init__(self, size: int, settings: DreamerSettings):
        super().__init__()
        self.power = settings.average
        self.actor = LatentNetwork(size, settings.hidden, settings.actions)
        self.critic = Critic(size, settings.hidden, settings.slow_rate, settings.slow_weight)
        self.scale = ReturnScale(settings.scale_rate)
        with torch.no_grad():
            self.actor.layers.output.weight.mul_(SMALL)
            self.actor.layers.output.bias.copy_(centred(settings.actions, START, settings.spread.first))
        self.average = copy.deepcopy(self.actor.layers).requires_grad_(False)
        self.register_buffer("averaged_steps", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def follow(self) -> None:
        """What follows a gradient step: take the actor's weights into their average.

        By polynomial decay (Shamir & Zhang 2013, arXiv 1212.1824), which keeps to the last part of a run, however long
        that is.
        """
        self.averaged_steps += 1
        share = (1 + self.power) / (float(self.averaged_steps) + self.power)
        for average, newest in zip(self.average.parameters(), self.actor.layers.parameters()):
            average.lerp_(newest, share)

    def averaged(self) -> LatentNetwork:
        """The actor with averaged weights."""
        network = copy.deepcopy(self.actor)
        network.layers.load_state_dict(self.average.state_dict())
        return network


class Dreamer:
    """See the module's docstring; the interface is `agent.Agent`."""

    settings_class: ClassVar[type[Any]] = DreamerSettings
    run_defaults: ClassVar[Mapping[str, Any]] = {}
    needs_data: ClassVar[bool] = False
    learns: ClassVar[bool] = True
    by_features: ClassVar[bool] = True
    progress: ClassVar[tuple[str, ...]] = ("reward", "value")

    def __init__(
        self, config: LearnConfig, settings: DreamerSettings, checkpoint: Checkpoint, data: PackedData | None = None
    ):
        self.config, self.settings, self.checkpoint = config, settings, checkpoint
        self.module = self.new_module(checkpoint.model.latent_size)
        learned = [weight for weight in self.module.parameters() if weight.requires_grad]
        # Fused: a step over so many small tensors takes a tenth of the time.
        self.optimizer = torch.optim.Adam(learned, settings.learning_rate, eps=1e-5, fused=True)
        contexts = real_moments(checkpoint, data, settings.moments, config.seed)
        self.dreams = Dreams(checkpoint, settings, contexts, settings.dtype)
        self.moments: Any = self._recorded(data)

    def _recorded(self, data: PackedData | None) -> Moments | None:
        """Recorded moments, if they are learned from."""
        if not self.settings.conservatism:
            return None
        if data is None:
            raise ValueError("conservatism compares with recorded episodes: name their folder, as in --data runs/data")
        return recorded_moments(self.checkpoint, data, self.settings.actions)

    def new_module(self, size: int) -> Any:
        """What is learned, for features of that size."""
        return ActorCritic(size, self.settings)

    def update(self, number: int) -> dict[str, float]:
        """See `agent.Agent`."""
        chance = np.random.default_rng([self.config.seed, number])
        if not self.dreams.begun:
            self._fit_inputs(torch.from_numpy(self.dreams.begin(chance)))
        segment, inputs, before = self._imagine(chance)
        with own_state(), torch.no_grad():
            told = self._judge(segment, inputs)
        self._warm_up(number)
        batch = {"inputs": inputs[:-1], "decided": segment.decided, "before": before, **told}
        flat = {name: value.flatten(0, 1) for name, value in batch.items()}
        parts: list[dict[str, Tensor]] = []
        for _ in range(self.settings.passes):
            order = torch.from_numpy(chance.permutation(segment.steps))
            for rows in order.tensor_split(self.settings.minibatches):
                part = {name: value[rows] for name, value in flat.items()}
                with own_state():
                    if self.settings.conservatism:
                        real = chance.integers(len(self.moments), size=len(rows))
                        part["real"] = self._seen(self.moments.features[torch.from_numpy(real)])
                    parts.append(self._learn(part))
        means = {name: float(torch.stack([part[name] for part in parts]).mean()) for name in parts[0]}
        return {**means, **self._told(segment, told), "steps": segment.steps}

    def policy(self, about: Mapping[str, Any]) -> LatentPolicy:
        """See `agent.Agent`."""
        return LatentPolicy(self.module.averaged(), self.checkpoint, self.config.checkpoint, about)

    def memory(self) -> dict[str, Tensor]:
        """See `agent.Agent`."""
        return self.dreams.memory()

    def recall(self, memory: dict[str, Tensor]) -> None:
        """See `agent.Agent`."""
        self.dreams.recall(memory)

    def _imagine(self, chance: np.random.Generator) -> tuple[Segment, Tensor, Tensor]:
        """A segment in which the actor drives, what actor and critic see of it (T + 1, B, size), and log-probabilities
        (T, B) of what was decided.
        """
        s, step = self.settings, 0
        generator = torch.Generator().manual_seed(int(chance.integers(2**62)))
        noise = torch.empty(0)
        inputs: list[Tensor] = []
        logs: list[Tensor] = []

        def act(features: np.ndarray, ego: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            nonlocal noise, step
            if step % s.hold == 0:
                noise = drawn_noise(s.actions, s.rows, generator)
            step += 1
            with own_state(), torch.no_grad():
                inputs.append(self._seen(torch.from_numpy(features)))
                actor = self._decision(inputs[-1])
                decided = actor.draw(noise)
                logs.append(actor.log_prob(decided))
            return decided.numpy(), carried_out(s.actions, decided.numpy(), ego)

        segment = self.dreams.segment(act, chance)
        with own_state(), torch.no_grad():
            inputs.append(self._seen(segment.features[-1]))
            return segment, torch.stack(inputs), torch.stack(logs)

    def _seen(self, features: Tensor) -> Tensor:
        """What actor and critic see of features (..., size)."""
        return self.module.actor.inputs(features).to(getattr(torch, self.settings.dtype))

    def _judge(self, segment: Segment, inputs: Tensor) -> dict[str, Tensor]:
        """What is learned from each step, (T, B) each: "returns", what they are "above" the critic's values, the values
        "held" by its slow copy, and the actor's "advantages", 0 on average, so that a critic that lags behind changes
        no probability.

        inputs: (T + 1, B, size), as `_seen`.
        """
        returns, advantages = self._returns(self.module.critic, segment, inputs, segment.rewards)
        scaled = advantages / self.module.scale.update(returns)
        held = self.module.critic.held(inputs[:-1])
        return {"returns": returns, "above": advantages, "held": held, "advantages": scaled - scaled.mean()}

    def _returns(self, critic: Critic, segment: Segment, inputs: Tensor, rewards: Tensor) -> tuple[Tensor, Tensor]:
        """Lambda-returns (T, B) of `rewards` (T, B), and what they are above the critic's values."""
        values = critic(inputs)
        following = segment.next_values(values, lambda features: critic(self._seen(features)))
        discounts = self.settings.gamma * segment.goes_on
        returns = lambda_returns(rewards, discounts, following, segment.left, self.settings.lam)
        return returns, returns - values[:-1]

    def _fit_inputs(self, features: Tensor) -> None:
        """Standardise by features (N, size) of real moments."""
        self.module.actor.inputs.fit(features)

    def _warm_up(self, number: int) -> None:
        """Set the learning rate of an update."""
        rate = self.settings.learning_rate * min(1.0, (number + 1) / self.settings.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _learn(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Take a gradient step on some steps: N rows of everything in `batch`. Returns parts of the loss, detached."""
        loss, told = self._actor_loss(batch)
        critic = self._critic_loss(batch)
        self._descend(loss + critic)
        self._follow()
        return {name: value.detach() for name, value in {"critic": critic, **told}.items()}

    def _descend(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        clip_adaptively(self.module.parameters(), self.settings.clip)
        self.optimizer.step()
        self.module.follow()

    def _actor_loss(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The actor's loss (), and numbers to be logged."""
        actor, trust = self._decision(batch["inputs"]), self.settings.trust
        entropy = actor.entropy().mean()
        # Its gradient is that of REINFORCE where nothing has moved yet.
        change = actor.log_prob(batch["decided"]) - batch["before"]
        moved = change.exp()
        held = moved.clamp(1 - trust, 1 + trust)
        gain = torch.minimum(moved * batch["advantages"], held * batch["advantages"]).mean()
        drift = (moved - 1 - change).mean()
        return -gain - self.settings.entropy * entropy, {"gain": gain, "entropy": entropy, "drift": drift}

    def _decision(self, inputs: Tensor) -> Decision:
        """What the actor decides given what it sees (N, size)."""
        return decision(self.settings.actions, computed(self.module.actor.layers, inputs), self.settings.spread)

    def _critic_loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        critic = self.module.critic
        loss = critic.loss(batch["inputs"], batch["returns"], batch["held"]).mean()
        if "real" not in batch:
            return loss
        above = critic(batch["inputs"]).mean() - critic(batch["real"]).mean()
        return loss + self.settings.conservatism * above / self.module.scale.divisor

    def _follow(self) -> None:
        """What follows a gradient step."""
        self.module.critic.follow()

    def _told(self, segment: Segment, told: Mapping[str, Tensor]) -> dict[str, float]:
        """Numbers to be logged."""
        steps = segment.steps
        return {
            "reward": float(segment.contract_rewards.mean()),
            "cost": float(segment.costs.mean()),
            "worth": float(segment.rewards.mean()),
            "value": float(told["returns"].mean()),
            "value_error": float(told["above"].mean()),
            "ended": float(segment.ended.sum()) / steps,
            "left": float(segment.left.sum()) / steps,
            "scale": float(self.module.scale.range),
        }
