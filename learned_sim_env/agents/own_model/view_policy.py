"""Policies of agents with an encoder of their own; they drive without the world model that others learn in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from learned_sim_env.agents.agent import agent_class
from learned_sim_env.agents.decisions import are_targets, carried_out
from learned_sim_env.agents.own_model.views import SeenRows, ViewSettings
from learned_sim_env.agents.rebuilt import rebuilt
from learned_sim_env.drivers.driver import Observations
from learned_sim_env.drivers.network import load_weights, read, write
from learned_sim_env.spec import CONTRACTS, Contract, Fingerprints
from learned_sim_env.world_model.torch_state import own_state

# What a file's metadata says drives by it, see `catalogue.FILES`.
KIND = "views"


class Mind(Protocol):
    """Decides for one row; begun anew with every episode."""

    def decide(self, views: Mapping[str, Tensor]) -> np.ndarray:
        """(2,) float32 in [-1, 1] for views, a batch of one."""
        ...


@dataclass(frozen=True, eq=False)
class ViewPolicy:
    """What such an agent has learned.

    agent: its name. Its class makes the module, by `new_module(contract, names, settings)`, and a `Mind` of a row, by
    `mind(module, settings, seed)`. names: of the modalities that it sees. about: how it was trained, JSON-ready.
    """

    agent: str
    settings: ViewSettings
    module: nn.Module
    contract: Contract
    names: tuple[str, ...]
    about: Mapping[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write a `.safetensors` file."""
        tensors = {name: value.detach().numpy().copy() for name, value in self.module.state_dict().items()}
        about = {"agent": self.agent, "contract": self.contract.name, "names": self.names, **asdict(self.settings)}
        more = {"driver": KIND, "views": json.dumps(about)}
        targets = are_targets(self.settings.actions)
        write(path, tensors, self.contract.fingerprints(self.names), targets, self.about, more)

    @staticmethod
    def load(path: Path) -> ViewPolicy:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no such policy, or one for another contract.
        """
        metadata, tensors = read(path)
        if metadata.get("driver") != KIND:
            raise ValueError(f"{path} is no policy with an encoder of its own: its driver is {metadata.get('driver')}")
        stored = json.loads(metadata["views"])
        agent, contract, names = stored.pop("agent"), CONTRACTS[stored.pop("contract")], tuple(stored.pop("names"))
        contract.check(str(path), Fingerprints.parse(metadata.get("contract")), names)
        kind = agent_class(agent)
        settings = rebuilt(kind.settings_class, stored)
        module = kind.new_module(contract, names, settings)
        load_weights(module, path, tensors)
        about = json.loads(metadata.get("about", "{}"))
        return ViewPolicy(agent, settings, module.eval(), contract, names, about)


class ViewDriver:
    """Drives rows by such a policy."""

    def __init__(self, policy: ViewPolicy, seeds: Sequence[int]):
        self._policy, self._seeds, self.observes = policy, seeds, policy.names
        self._rows = SeenRows(policy.contract, policy.names, policy.settings.lag, len(seeds))
        self._minds = [self._mind(seed) for seed in seeds]

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        decided = []
        for i, views in enumerate(self._rows.update(observations, began)):
            if began[i]:
                self._minds[i] = self._mind(self._seeds[i])
            with own_state(), torch.inference_mode():
                decided.append(self._minds[i].decide(views))
        return carried_out(self._policy.settings.actions, np.stack(decided), observations["ego"]).astype(np.float32)

    def _mind(self, seed: int) -> Mind:
        mind: Mind = agent_class(self._policy.agent).mind(self._policy.module, self._policy.settings, seed)
        return mind


def open_views(path: Path, seeds: Sequence[int]) -> ViewDriver:
    """What drives rows by the policy in a file, see `catalogue.FILES`."""
    return ViewDriver(ViewPolicy.load(path), seeds)
