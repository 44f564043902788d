"""Drivers that need nothing but the observation, for demonstrations and measurements."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from learned_sim_env.drivers import sight
from learned_sim_env.files import replacing
from learned_sim_env.resources import checkpoints_dir
from learned_sim_env.spec import CONTRACTS, Fingerprints, unknown

# Of files of policies; another one means something else.
SCHEMA_VERSION = 2
# What the last layer may give, without and with targets.
OUTPUTS = ("actions", "targets")
# Modalities that a policy is given.
NEEDED = ("bev", "ego")
# Folder of the policies that ship, among the checkpoints.
SHIPPED = "policies"

# [rad] A wheel at full lock: what steer 1 means to a typical car.
FULL_LOCK = 0.7
# [m] From the middle of a roadway of two lanes to the middle of one of them, and a little more.
LANE = 2.0


@dataclass(frozen=True)
class RouteFollower:
    """Follows the route at a steady speed and sees nobody: Stanley's steering law, proportional speed control.

    offset: where to drive, in metres left of the middle of the route; a number, or an array with one a row.
    speed: to keep [m/s], likewise. steer_gain: how hard it returns to its place [1/s]. speed_gain: throttle or brake
    per m/s.
    """

    offset: float | np.ndarray = 0.0
    speed: float | np.ndarray = 8.0
    steer_gain: float = 1.0
    speed_gain: float = 0.3

    @staticmethod
    def from_ego(ego: np.ndarray) -> RouteFollower:
        """One that stays in the lane where the ego vectors (..., 6) are, or comes back to the route from far away."""
        return RouteFollower(offset=np.clip(ego[..., 4], -LANE, LANE))

    def __call__(self, ego: np.ndarray) -> np.ndarray:
        """Action (..., 2) float32 in [-1, 1] for ego vectors (..., 6), see `spec.EGO_FIELDS`."""
        speed, distance, heading_error = ego[..., 0], ego[..., 4], ego[..., 5]
        wheel = heading_error + np.arctan2(self.steer_gain * (distance - self.offset), speed + 1.0)
        action = np.stack([wheel / FULL_LOCK, self.speed_gain * (self.speed - speed)], axis=-1)
        return np.clip(action, -1.0, 1.0).astype(np.float32)


# [m, m/s] What targets of 1 ask for: so far to the left of where one is; and targets of -1 and 1, from 0 to this speed.
SIDEWAYS, FASTEST = 2.0, 12.0


def follow(targets: np.ndarray, ego: np.ndarray) -> np.ndarray:
    """Actions that carry out targets of where to drive along the route, and how fast.

    What is left to decide is what driving is about; noise on it weaves within a lane, where noise on the wheel leaves
    the road.

    Args:
        targets: (..., 2) [sideways, speed] in [-1, 1], see `SIDEWAYS` and `FASTEST`.
        ego: (..., 6), see `spec.EGO_FIELDS`.

    Returns:
        (..., 2) float32 in [-1, 1], [steer, throttle_brake].
    """
    offset, speed = ego[..., 4] + SIDEWAYS * targets[..., 0], FASTEST * (1.0 + targets[..., 1]) / 2.0
    return RouteFollower(offset, speed)(ego)


@dataclass(frozen=True, eq=False)
class NetworkPolicy:
    """A small network that drives by what `sight` tells: layers with tanh between them, the mean at the end.

    layers: weights (out, in) and biases (out,) float32, the first with `sight.SIZE` inputs, the last with 2 outputs.
    targets: whether its outputs are targets for `follow`, or actions. about: how it was trained, JSON-ready.
    """

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    targets: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Action (..., 2) float32 in [-1, 1] for features (..., sight.SIZE)."""
        hidden = features
        for i, (weight, bias) in enumerate(self.layers):
            hidden = (np.tanh(hidden) if i else hidden) @ weight.T + bias
        wanted = np.clip(hidden, -1.0, 1.0).astype(np.float32)
        return follow(wanted, sight.ego_of(features)) if self.targets else wanted

    def save(self, path: Path) -> None:
        """Write a `.safetensors` file."""
        from safetensors.numpy import save_file

        tensors = {}
        for i, (weight, bias) in enumerate(self.layers):
            tensors[f"{i}.weight"], tensors[f"{i}.bias"] = weight.copy(), bias.copy()
        metadata = {
            "schema_version": str(SCHEMA_VERSION),
            "contract": str(CONTRACTS["driving"].fingerprints(NEEDED)),
            "outputs": OUTPUTS[self.targets],
            "about": json.dumps(dict(self.about)),
        }
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata)

    @staticmethod
    def load(path: Path) -> NetworkPolicy:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no policy, one of another version, or one for another contract.
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
        if metadata.get("schema_version") != str(SCHEMA_VERSION):
            raise ValueError(
                f"{path} is not a policy of schema version {SCHEMA_VERSION}: {metadata.get('schema_version')}"
            )
        CONTRACTS["driving"].check(str(path), Fingerprints.parse(metadata.get("contract")), NEEDED)
        if metadata.get("outputs") not in OUTPUTS:
            raise ValueError(f"{path} gives {metadata.get('outputs')}, not one of {', '.join(OUTPUTS)}")
        layers, size = [], sight.SIZE
        for i in range(len(tensors) // 2):
            weight, bias = tensors.get(f"{i}.weight"), tensors.get(f"{i}.bias")
            if weight is None or bias is None or weight.shape != (len(bias), size):
                raise ValueError(f"{path}: layer {i} is missing or does not take {size} inputs")
            layers.append((weight, bias))
            size = len(bias)
        if size != 2 or not layers:
            raise ValueError(f"{path}: its last layer gives {size} numbers, not 2")
        targets = metadata["outputs"] == OUTPUTS[True]
        return NetworkPolicy(tuple(layers), targets, json.loads(metadata.get("about", "{}")))


def shipped_policies() -> dict[str, Path]:
    """Files of the policies that ship, by name."""
    return {path.stem: path for path in sorted((checkpoints_dir() / SHIPPED).glob("*.safetensors"))}


def open_network(name_or_path: str) -> NetworkPolicy:
    """The policy that ships under a name, or that is in a file.

    Raises:
        ValueError, FileNotFoundError: for an unknown name, or a file that `NetworkPolicy.load` refuses.
    """
    known = shipped_policies()
    if name_or_path in known:
        return NetworkPolicy.load(known[name_or_path])
    if not name_or_path.endswith(".safetensors"):
        raise unknown("policy", name_or_path, (*known, "<file>.safetensors"))
    return NetworkPolicy.load(Path(name_or_path))
