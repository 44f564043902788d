"""A small network that drives by cameras, the ego vector and the route, or by the latter two alone.

Pictures become *readings*, numbers in [0, 1], by convolutions that all cameras share; a few layers make actions of
readings, ego and route. While it learns, readings can be held to what rays from the ego meet in the view from above
(`reading_targets`). To drive, no view from above is needed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from learned_sim_env.drivers.driver import Observations
from learned_sim_env.drivers.network import gives_targets, load_weights, read, write
from learned_sim_env.drivers.ray_features import EGO_SCALE
from learned_sim_env.drivers.route import follow
from learned_sim_env.rendering.rays import ANGLES, TARGETS, distances
from learned_sim_env.spec import CONTRACTS, Fingerprints

CONTRACT = CONTRACTS["driving-camera"]
CAMERAS = tuple(m.name for m in CONTRACT.cameras)
# What is given beside pictures.
VECTORS = ("ego", "route")
HEIGHT, WIDTH = CONTRACT.modality(CAMERAS[0]).shape[:2]
# Rays that point where a camera looks; behind the ego there is nothing to be read.
VISIBLE = np.abs(ANGLES) <= 90
READINGS = len(TARGETS) * int(VISIBLE.sum())
# [m] Brings waypoints to about [-1, 1]: the last one is 40 m along the route.
ROUTE_SCALE = 40.0
# Of the convolutions, how much each makes rows and columns fewer, and the width of the layer behind them.
CHANNELS, STRIDES, BEHIND = (12, 16, 32), ((2, 2), (2, 2), (2, 1)), 64
ROWS, COLUMNS = (side // math.prod(s[i] for s in STRIDES) for i, side in enumerate((HEIGHT, WIDTH)))
OBSERVES = "observes"


def abreast(observations: Observations, cameras: Sequence[str] = CAMERAS) -> np.ndarray:
    """Pictures (n, len(cameras), HEIGHT, WIDTH, 3) uint8 of observations of the contract."""
    return np.stack([observations[name] for name in cameras], 1)


def closeness(views: np.ndarray) -> np.ndarray:
    """(n, len(TARGETS), len(ANGLES)) float32 in [0, 1): how near rays meet each target; 0 where they meet none.

    Args:
        views: from above, (n, H, W, 3) uint8 in the palette, or (n, H, W) uint8 class ids.
    """
    return 1.0 - distances(views, CONTRACT.bev)


def reading_targets(close: Tensor) -> Tensor:
    """(n, READINGS) of closeness (n, len(TARGETS), len(ANGLES)): what cameras can see of it."""
    return close[:, :, torch.from_numpy(VISIBLE)].flatten(1)


def _places() -> np.ndarray:
    """Where visible rays are seen, (rays,): a camera's index times `COLUMNS`, plus the column (one of `COLUMNS`).

    All of a ray, and what stands on it, is seen in one column, because the cameras are where rays begin.
    """
    angle = np.radians(np.array(ANGLES)[VISIBLE])
    far = 1000.0 * np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], -1)
    seen = [m.camera.project(far) for m in CONTRACT.cameras if m.camera is not None]
    columns = np.stack([np.where(depth > 0, column, np.inf) for _, column, depth in seen])
    camera = np.abs(columns - WIDTH / 2).argmin(0)
    column = columns[camera, np.arange(len(angle))] * COLUMNS / WIDTH - 0.5
    return camera * COLUMNS + np.clip(column, 0, COLUMNS - 1.001)


class Reader(nn.Module):
    """Logits of readings (n, READINGS) of pictures (n, CAMERAS, HEIGHT, WIDTH, 3), uint8 or float32, 0 to 255.

    What a ray meets is read in the column of the picture in which the ray is seen, by the same weights for every ray.
    """

    index: Tensor
    share: Tensor

    def __init__(self) -> None:
        super().__init__()
        sizes = pairwise((3, *CHANNELS))
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 3, stride, 1) for (a, b), stride in zip(sizes, STRIDES))
        self.ray = nn.Sequential(nn.Linear(CHANNELS[-1] * ROWS, BEHIND), nn.ReLU(), nn.Linear(BEHIND, len(TARGETS)))
        places = torch.from_numpy(_places())
        self.register_buffer("index", places.long(), persistent=False)
        self.register_buffer("share", places.frac().float()[:, None], persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        # The channels come last in memory, where convolutions on a CPU are fastest.
        hidden = pictures.flatten(0, 1).float().permute(0, 3, 1, 2) / 127.5 - 1.0
        for convolution in self.convolutions:
            hidden = functional.relu(convolution(hidden))
        columns = hidden.permute(0, 3, 1, 2).reshape(len(pictures), -1, CHANNELS[-1] * ROWS)
        seen = torch.lerp(columns[:, self.index], columns[:, self.index + 1], self.share)
        return self.ray(seen).transpose(1, 2).flatten(1)


def known(ego: Tensor, route: Tensor) -> Tensor:
    """(n, 26) of about [-1, 1]: ego vectors (n, 6) and waypoints (n, 10, 2)."""
    return torch.cat([ego.float() * torch.from_numpy(EGO_SCALE), route.float().flatten(1) / ROUTE_SCALE], 1)


KNOWN = len(EGO_SCALE) + int(np.prod(CONTRACT.modality("route").shape))


def layers(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers of these sizes, each with tanh behind it."""
    return nn.Sequential(*(part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.Tanh())))


class CameraNetwork(nn.Module):
    """What `CameraPolicy` computes: means (n, 2) for pictures (or None without cameras), ego and route."""

    def __init__(self, cameras: int, hidden: Sequence[int]):
        super().__init__()
        self.reader = Reader() if cameras else None
        self.layers = layers((KNOWN + (READINGS if cameras else 0), *hidden))
        self.mean = nn.Linear(hidden[-1], 2)

    def forward(self, pictures: Tensor | None, ego: Tensor, route: Tensor) -> Tensor:
        """See the class."""
        features = known(ego, route)
        if self.reader is not None:
            features = torch.cat([self.reader(pictures).sigmoid(), features], 1)
        return self.mean(self.layers(features))


@dataclass(frozen=True, eq=False)
class CameraPolicy:
    """A trained `CameraNetwork`.

    cameras: that it sees, in this order. targets: whether its outputs are targets for `follow`, or actions. about: how
    it was trained, JSON-ready.
    """

    network: CameraNetwork
    cameras: tuple[str, ...] = CAMERAS
    targets: bool = True
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def observes(self) -> tuple[str, ...]:
        """All modalities that it needs."""
        return (*self.cameras, *VECTORS)

    @torch.inference_mode()
    def __call__(self, observations: Observations) -> np.ndarray:
        """Actions (n, 2) float32 in [-1, 1]."""
        ego, route = (torch.from_numpy(np.ascontiguousarray(observations[name])) for name in VECTORS)
        pictures = torch.from_numpy(abreast(observations, self.cameras)) if self.cameras else None
        # A row at a time: in a product of matrices its rounding would depend on how many others there are.
        rows = [slice(i, i + 1) for i in range(len(ego))]
        means = [self.network(None if pictures is None else pictures[i], ego[i], route[i]) for i in rows]
        wanted = np.clip(torch.cat(means).numpy(), -1.0, 1.0)
        return follow(wanted, observations["ego"]) if self.targets else wanted

    def save(self, path: Path) -> None:
        """Write a `.safetensors` file."""
        tensors = {name: value.numpy().copy() for name, value in self.network.state_dict().items()}
        observes = {OBSERVES: ",".join(self.observes)}
        write(path, tensors, CONTRACT.fingerprints(self.observes), self.targets, self.about, observes)

    @staticmethod
    def load(path: Path) -> CameraPolicy:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no policy of cameras, one of another version, or one for another contract.
        """
        metadata, tensors = read(path)
        observes = tuple(metadata.get(OBSERVES, "bev").split(","))
        cameras = observes[: -len(VECTORS)]
        if observes[-len(VECTORS) :] != VECTORS or not set(cameras) <= set(CAMERAS):
            raise ValueError(f"{path} observes {', '.join(observes)}, not cameras, {' and '.join(VECTORS)}")
        CONTRACT.check(str(path), Fingerprints.parse(metadata.get("contract")), observes)
        hidden = [len(tensors[name]) for name in sorted(tensors) if name.startswith("layers.") and "bias" in name]
        if not hidden:
            raise ValueError(f"{path} has no layers")
        network = CameraNetwork(len(cameras), hidden)
        load_weights(network, path, tensors)
        about = json.loads(metadata.get("about", "{}"))
        return CameraPolicy(network.eval(), cameras, gives_targets(path, metadata), about)


class CameraDriver:
    """A trained policy of cameras, without noise."""

    def __init__(self, policy: CameraPolicy):
        self._policy, self.observes = policy, policy.observes

    def __call__(self, observations: Observations, began: np.ndarray) -> np.ndarray:
        """See `Driver`."""
        return self._policy({name: observations[name] for name in self.observes})
