"""Policies on a world model's features: small networks, trained in imagination, that drive by what the model filters.

A file holds the network, the preprocessing of its inputs, and which world model's features it takes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from learned_sim_env.agents.decisions import ACTION_KINDS, are_targets, carried_out, likeliest
from learned_sim_env.agents.experience.filtered import FilteredRows, world_model_metadata, world_model_of
from learned_sim_env.drivers.driver import Observations
from learned_sim_env.drivers.network import load_weights, read, write
from learned_sim_env.spec import unknown
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.layers import MLP
from learned_sim_env.world_model.torch_state import own_state

# What a file's metadata says drives by it, see `catalogue.FILES`.
KIND = "latent"
# Standardised inputs are held within this, where a world model says what it never said in training.
FARTHEST = 10.0


class Standardised(nn.Module):
    """Features (..., size) with mean 0 and standard deviation 1; fitted once, on real moments, then kept.

    What does not vary over real moments, such as how long a dream has lasted, is left out: where it varies, in a dream,
    a policy would learn to rely on what it is not told outside.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def fit(self, features: Tensor, least: float = 0.1, nothing: float = 1e-5) -> None:
        """Take mean and deviation of features (N, size) of real moments.

        least: a smaller deviation counts as this. nothing: what varies less is left out.
        """
        deviation = features.std(0)
        self.mean.copy_(features.mean(0))
        self.scale.copy_(torch.where(deviation > nothing, deviation.clamp_min(least), torch.inf))

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return ((features - self.mean) / self.scale).clamp(-FARTHEST, FARTHEST)


class LatentNetwork(nn.Module):
    """Features (N, size) to the numbers (N, `ACTION_KINDS`[kind]) that an action is made of."""

    def __init__(self, size: int, hidden: Sequence[int], kind: str):
        if kind not in ACTION_KINDS:
            raise unknown("actions", kind, ACTION_KINDS)
        super().__init__()
        self.size, self.hidden, self.kind = size, tuple(hidden), kind
        self.inputs = Standardised(size)
        self.layers = MLP(size, self.hidden, ACTION_KINDS[kind])

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return self.layers(self.inputs(features))


@dataclass(frozen=True, eq=False)
class LatentPolicy:
    """A trained `LatentNetwork` and the world model whose features it takes.

    named: what the checkpoint is called, see `world_model.checkpoint.find`. about: how it was trained, JSON-ready.
    """

    network: LatentNetwork
    checkpoint: Checkpoint
    named: str
    about: Mapping[str, Any] = field(default_factory=dict)

    @torch.inference_mode()
    def __call__(self, features: np.ndarray, ego: np.ndarray) -> np.ndarray:
        """Actions (n, 2) float32 in [-1, 1] for features (n, size) and ego vectors (n, 6)."""
        with own_state():
            # A row at a time: in some operations its rounding would depend on how many others there are.
            numbers = torch.cat([self.network(row[None]) for row in torch.from_numpy(features)])
            decided = torch.cat([likeliest(self.network.kind, row[None]) for row in numbers]).numpy()
        return carried_out(self.network.kind, decided, ego).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write a `.safetensors` file."""
        tensors = {name: value.detach().numpy().copy() for name, value in self.network.state_dict().items()}
        more = {
            "driver": KIND,
            "network": json.dumps({"hidden": self.network.hidden, "kind": self.network.kind}),
            **world_model_metadata(self.checkpoint, self.named),
        }
        fingerprints = self.checkpoint.contract.fingerprints(self.checkpoint.model.observes)
        write(path, tensors, fingerprints, are_targets(self.network.kind), self.about, more)

    @staticmethod
    def load(path: Path) -> LatentPolicy:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file, or not the world model.
            ValueError: if it is no such policy, or one for another contract or world model.
        """
        metadata, tensors = read(path)
        if metadata.get("driver") != KIND:
            raise ValueError(f"{path} is no policy on a world model's features: its driver is {metadata.get('driver')}")
        checkpoint = world_model_of(path, metadata)
        network = LatentNetwork(checkpoint.model.latent_size, **json.loads(metadata["network"]))
        load_weights(network, path, tensors)
        about = json.loads(metadata.get("about", "{}"))
        return LatentPolicy(network.eval(), checkpoint, metadata["world_model"], about)


class LatentDriver:
    """A policy on features, without chance; the features are filtered from what is really observed."""

    def __init__(self, policy: LatentPolicy, num_rows: int):
        self._policy, self._rows = policy, FilteredRows(policy.checkpoint, num_rows)
        self.observes = self._rows.observes

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        return self._policy(self._rows.update(observations, began), observations["ego"])


def open_latent(path: Path, seeds: Sequence[int]) -> LatentDriver:
    """What drives rows by the policy in a file, see `catalogue.FILES`."""
    return LatentDriver(LatentPolicy.load(path), len(seeds))
