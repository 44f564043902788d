"""Actor and critic of a driver by cameras, for Stable-Baselines3's PPO.

The actor is a `drivers.camera_network.CameraNetwork`. The critic may know more than the actor (asymmetric actor-critic,
Pinto et al. 2017, arXiv 1710.06542), because nothing of it drives; and what the actor reads in pictures may be held to
what is true (an auxiliary task, as depth in Mirowski et al. 2016, arXiv 1611.03673).
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import torch
from stable_baselines3.common.policies import MultiInputActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn
from torch.nn import functional

from learned_sim_env.drivers.camera_network import (
    KNOWN,
    READINGS,
    CameraNetwork,
    Reader,
    known,
    layers,
    reading_targets,
)
from learned_sim_env.reinforcement.camera_observation import CLOSENESS, PICTURES


class Features(BaseFeaturesExtractor):
    """What the actor sees and, behind it, what the critic sees, (n, actor_size + critic_size).

    Attributes:
        logits: of the readings of the pictures that it was last given, (n, READINGS); None without pictures.
    """

    def __init__(self, space: gym.spaces.Dict, privileged: bool):
        self.actor_size = KNOWN + (READINGS if PICTURES in space.spaces else 0)
        self.critic_size = KNOWN + gym.spaces.flatdim(space[CLOSENESS]) if privileged else self.actor_size
        self.privileged = privileged
        super().__init__(space, self.actor_size + self.critic_size)
        self.reader = Reader() if PICTURES in space.spaces else None
        self.logits: Tensor | None = None

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """See the class."""
        given = known(observations["ego"], observations["route"])
        actor = given
        if self.reader is not None:
            self.logits = self.reader(observations[PICTURES])
            actor = torch.cat([self.logits.sigmoid(), given], 1)
        critic = [observations[CLOSENESS].flatten(1), given] if self.privileged else [actor]
        return torch.cat([actor, *critic], 1)


class Heads(nn.Module):
    """Layers of the actor on the first `actor_size` features, and of the critic on the others."""

    def __init__(self, features: Features, hidden: list[int]):
        super().__init__()
        self.sizes = features.actor_size, features.critic_size
        self.latent_dim_pi = self.latent_dim_vf = hidden[-1]
        self.actor, self.critic = (layers((size, *hidden)) for size in self.sizes)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Of both, (n, hidden[-1]) each."""
        return self.forward_actor(features), self.forward_critic(features)

    def forward_actor(self, features: Tensor) -> Tensor:
        """Of the actor."""
        return self.actor(features.split(self.sizes, 1)[0])

    def forward_critic(self, features: Tensor) -> Tensor:
        """Of the critic."""
        return self.critic(features.split(self.sizes, 1)[1])


class CameraActorCritic(MultiInputActorCriticPolicy):
    """See the module's docstring; observations are those of `VectorCameraObservation`.

    privileged: whether the critic sees "closeness", and not what the actor sees. reading: whether actors are to learn
    to tell "closeness" from pictures. What PPO takes to be the entropy, and adds to its objective with the weight
    `ent_coef`, is then minus the error of the readings: Stable-Baselines3 takes further terms nowhere else.
    """

    def __init__(self, *args: Any, privileged: bool = True, reading: bool = True, **settings: Any):
        self.reading = reading
        # "features_extractor_class" may be among the settings already: Stable-Baselines3 gives its own default.
        seeing = {"features_extractor_class": Features, "features_extractor_kwargs": {"privileged": privileged}}
        super().__init__(*args, **{**settings, **seeing})

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = Heads(self.features_extractor, list(self.net_arch))  # type: ignore[assignment, arg-type]

    def evaluate_actions(self, obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Values, log-likelihoods and, see the class, entropies or minus errors, (n,) each."""
        values, likelihood, entropy = super().evaluate_actions(obs, actions)
        features = self.features_extractor
        assert isinstance(features, Features)
        if not self.reading or features.logits is None:
            return values, likelihood, entropy
        true = reading_targets(obs[CLOSENESS])
        error = functional.binary_cross_entropy_with_logits(features.logits, true, reduction="none")
        return values, likelihood, -error.mean(1)

    def network(self) -> CameraNetwork:
        """The acting part, copied."""
        features, heads = self.features_extractor, self.mlp_extractor
        assert isinstance(features, Features) and isinstance(heads, Heads)
        cameras = 0 if features.reader is None else self.observation_space[PICTURES].shape[0]  # type: ignore[index]
        network = CameraNetwork(cameras, list(self.net_arch))  # type: ignore[arg-type]
        parts = {"layers": heads.actor, "mean": self.action_net, "reader": features.reader}
        for name, part in parts.items():
            if part is not None:
                getattr(network, name).load_state_dict(part.state_dict())
        return network.eval()
