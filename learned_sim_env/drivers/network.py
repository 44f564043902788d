"""Trained networks as policies and as drivers, and their files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.drivers import ray_features
from learned_sim_env.drivers.driver import Observations
from learned_sim_env.drivers.route import follow
from learned_sim_env.files import replacing
from learned_sim_env.resources import checkpoints_dir
from learned_sim_env.spec import CONTRACTS, Fingerprints, unknown

if TYPE_CHECKING:
    from torch import nn

# Of files of policies; another one means something else.
SCHEMA_VERSION = 2
# What the last layer may give, without and with targets.
OUTPUTS = ("actions", "targets")
# Modalities that a policy is given.
NEEDED = ("bev", "ego")
# Folder of the policies that ship, among the checkpoints.
SHIPPED = "policies"


@dataclass(frozen=True, eq=False)
class NetworkPolicy:
    """A small network that drives by `ray_features`: layers with tanh between them, the mean at the end.

    layers: weights (out, in) and biases (out,) float32, the first with `ray_features.SIZE` inputs, the last with 2
    outputs. targets: whether its outputs are targets for `follow`, or actions. about: how it was trained, JSON-ready.
    """

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    targets: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Action (..., 2) float32 in [-1, 1] for features (..., ray_features.SIZE)."""
        hidden = features
        for i, (weight, bias) in enumerate(self.layers):
            hidden = (np.tanh(hidden) if i else hidden) @ weight.T + bias
        wanted = np.clip(hidden, -1.0, 1.0).astype(np.float32)
        return follow(wanted, ray_features.ego_of(features)) if self.targets else wanted

    def save(self, path: Path) -> None:
        """Write a `.safetensors` file."""
        tensors = {}
        for i, (weight, bias) in enumerate(self.layers):
            tensors[f"{i}.weight"], tensors[f"{i}.bias"] = weight.copy(), bias.copy()
        write(path, tensors, CONTRACTS["driving"].fingerprints(NEEDED), self.targets, self.about)

    @staticmethod
    def load(path: Path) -> NetworkPolicy:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no policy, one of another version, or one for another contract.
        """
        metadata, tensors = read(path)
        CONTRACTS["driving"].check(str(path), Fingerprints.parse(metadata.get("contract")), NEEDED)
        targets = gives_targets(path, metadata)
        layers, size = [], ray_features.SIZE
        for i in range(len(tensors) // 2):
            weight, bias = tensors.get(f"{i}.weight"), tensors.get(f"{i}.bias")
            if weight is None or bias is None or weight.shape != (len(bias), size):
                raise ValueError(f"{path}: layer {i} is missing or does not take {size} inputs")
            layers.append((weight, bias))
            size = len(bias)
        if size != 2 or not layers:
            raise ValueError(f"{path}: its last layer gives {size} numbers, not 2")
        return NetworkPolicy(tuple(layers), targets, json.loads(metadata.get("about", "{}")))


def write(
    path: Path,
    tensors: Mapping[str, np.ndarray],
    fingerprints: Fingerprints,
    targets: bool,
    about: Mapping[str, Any],
    more: Mapping[str, str] = {},
) -> None:
    """Write a policy's `.safetensors` file: `read` gives back `tensors`, and the rest as metadata.

    fingerprints: of what it observes. targets: whether it gives targets. more: further metadata of its kind.
    """
    from safetensors.numpy import save_file

    metadata = {
        "schema_version": str(SCHEMA_VERSION),
        "contract": str(fingerprints),
        "outputs": OUTPUTS[targets],
        "about": json.dumps(dict(about)),
        **more,
    }
    with replacing(path) as temporary:
        save_file(dict(tensors), temporary, metadata)


def read(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Metadata and tensors of a policy's file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no policy, or one of another version.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(f"policy file {path} does not exist")
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except SafetensorError as error:
        raise ValueError(f"{path} is not a policy: {error}") from error
    if "schema_version" not in metadata:
        raise ValueError(f"{path} holds tensors, but is not a policy: it has no schema version")
    if metadata["schema_version"] != str(SCHEMA_VERSION):
        raise ValueError(f"{path} is not a policy of schema version {SCHEMA_VERSION}: {metadata['schema_version']}")
    return metadata, tensors


def load_weights(network: nn.Module, path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Give a network the tensors that `read` found in `path`; `ValueError` if they are not those of such a network."""
    import torch

    try:
        network.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
    except RuntimeError as error:
        raise ValueError(f"{path} does not hold the network that it declares: {error}") from error


def gives_targets(path: Path, metadata: Mapping[str, str]) -> bool:
    """Whether the outputs of the policy in `path` are targets; `ValueError` if it gives neither targets nor actions."""
    if metadata.get("outputs") not in OUTPUTS:
        raise ValueError(f"{path} gives {metadata.get('outputs')}, not one of {', '.join(OUTPUTS)}")
    return metadata["outputs"] == OUTPUTS[True]


def shipped_policies() -> dict[str, Path]:
    """Files of the policies that ship, by name."""
    return {path.stem: path for path in sorted((checkpoints_dir() / SHIPPED).glob("*.safetensors"))}


def policy_file(name_or_path: str) -> Path:
    """The file of the policy that ships under a name, or the path itself; `ValueError` for an unknown name."""
    known = shipped_policies()
    if name_or_path in known:
        return known[name_or_path]
    if not name_or_path.endswith(".safetensors"):
        raise unknown("policy", name_or_path, (*known, "<file>.safetensors"))
    return Path(name_or_path)


def open_network(name_or_path: str) -> NetworkPolicy:
    """The policy that ships under a name, or that is in a file.

    Raises:
        ValueError, FileNotFoundError: for an unknown name, or a file that `NetworkPolicy.load` refuses.
    """
    return NetworkPolicy.load(policy_file(name_or_path))


class NetworkDriver:
    """A trained policy, without noise."""

    needs_bev = True

    def __init__(self, policy: NetworkPolicy, num_rows: int):
        self._policy, self._ray_features = policy, ray_features.RayFeatures(num_rows)

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        # A row at a time: in a product of matrices its rounding would depend on how many others there are.
        return self._policy(self._ray_features.update(observations, began)[:, None])[:, 0]
