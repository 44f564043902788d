"""What a learned agent lends a planner: decisions to try, and what states are worth beyond the end of a plan."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from learned_sim_env.agents.actor_critic.critic import Critic
from learned_sim_env.agents.actor_critic.latent_policy import LatentNetwork
from learned_sim_env.agents.settings import RUN, STATE
from learned_sim_env.world_model.checkpoint import Checkpoint


class Guide(nn.Module):
    """Actor and critic of a dreamer, or of a safe-dreamer its critic of cost as well.

    Args:
        size: of the features.
        hidden: widths of their layers.
        kind: what the actor decides.
        costs: whether there is a critic of cost.
    """

    def __init__(self, size: int, hidden: tuple[int, ...], kind: str, costs: bool):
        super().__init__()
        self.actor, self.critic = LatentNetwork(size, hidden, kind), Critic(size, hidden)
        self.cost_critic = Critic(size, hidden) if costs else None

    @staticmethod
    def of_run(path: Path, checkpoint: Checkpoint) -> Guide:
        """What was learned in the folder of a run.

        Raises:
            FileNotFoundError: if there is no such run.
            ValueError: if it is none of a dreamer, or one in another world model.
        """
        if not (path / RUN).is_file() or not (path / STATE).is_file():
            raise FileNotFoundError(f"{path} is no folder of a run of `learned-sim learn`: it has no {RUN} and {STATE}")
        run = json.loads((path / RUN).read_text(encoding="utf-8"))
        settings, parts = run["settings"], ("actor", "critic", "cost_critic")
        if run["model"] != checkpoint.fingerprint:
            raise ValueError(f"{path} was learned in another world model, {run['model'][:12]}: give its --checkpoint")
        kept = {name.removeprefix("model."): value for name, value in load_file(path / STATE).items()}
        weights = {name: value for name, value in kept.items() if name.partition(".")[0] in parts}
        if not any(name.startswith("critic.") for name in weights):
            raise ValueError(f"{path} holds a run of {settings['agent']}, which has no critic: a dreamer's has")
        costs = any(name.startswith("cost_critic.") for name in weights)
        guide = Guide(checkpoint.model.latent_size, tuple(settings["hidden"]), settings["actions"], costs)
        guide.load_state_dict(weights)
        return guide.requires_grad_(False)

    def values(self, features: Tensor) -> Tensor:
        """(N,) what states are worth, by features (N, size)."""
        return self.critic(self.actor.inputs(features))

    def costs(self, features: Tensor) -> Tensor:
        """(N,) the cost to come; 0 without a critic of it."""
        if self.cost_critic is None:
            return features.new_zeros(len(features))
        return self.cost_critic(self.actor.inputs(features)).clamp_min(0)
