"""What agents with an encoder of their own see: observations now and a moment ago, which together tell what moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from learned_sim_env.agents.settings import TaskSettings
from learned_sim_env.drivers.driver import Observations
from learned_sim_env.rendering.palette import classes_of
from learned_sim_env.settings import check_at_least
from learned_sim_env.spec import NUM_CLASSES, Contract, Modality
from learned_sim_env.world_model.layers import MLP, Linear, PatchMixer, one_hot, patches

# Pixels a side of what a picture is cut into.
PATCH = 8
# By modality, (B, 2, *shape) uint8 or float32: a moment ago, and now.
Views = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class ViewSettings(TaskSettings):
    """How an agent sees, and how large its network is."""

    lag: int = 4
    """Steps between the two moments that it sees."""
    channels: int = 32
    """Numbers that stand for a patch of a picture."""
    latent: int = 128
    """Numbers that stand for what is seen."""
    hidden: tuple[int, ...] = (256, 256)
    """Widths of the layers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, lag=1, channels=1, latent=1)
        if self.actions not in ("targets", "actions"):
            raise ValueError(f"actions is {self.actions}; this agent takes targets or actions")


class ViewEncoder(nn.Module):
    """Views to `settings.latent` numbers: pictures by patches that are mixed, vectors by their symmetric logarithm."""

    def __init__(self, contract: Contract, names: Sequence[str], settings: ViewSettings):
        super().__init__()
        self.modalities = [contract.modality(name) for name in names]
        self.parts, size = nn.ModuleDict(), settings.hidden[0]
        for m in self.modalities:
            if m.kind == "vector":
                # With a bias: the normalisation that follows would else leave no trace of how large vectors are.
                self.parts[m.name] = nn.Sequential(nn.Flatten(), Linear(2 * int(np.prod(m.shape)), size), nn.SiLU())
                continue
            tokens, depth = (m.shape[0] // PATCH) * (m.shape[1] // PATCH), NUM_CLASSES if m.kind == "classes" else 3
            self.parts[m.name] = nn.Sequential(
                Linear(2 * PATCH**2 * depth, settings.channels),
                PatchMixer(tokens, settings.channels),
                nn.Flatten(),
                Linear(tokens * settings.channels, size),
                nn.SiLU(),
            )
        self.joined = MLP(size * len(self.modalities), settings.hidden, settings.latent)

    def forward(self, views: Views) -> Tensor:
        """(B, latent)."""
        parts = []
        for m in self.modalities:
            seen = views[m.name]
            numbers = seen.sign() * seen.abs().log1p() if m.kind == "vector" else _patched(m, seen)
            parts.append(self.parts[m.name](numbers))
        return self.joined(torch.cat(parts, 1))


def _patched(m: Modality, seen: Tensor) -> Tensor:
    """(B, tokens, 2 * PATCH^2 * depth) float32 of pictures (B, 2, H, W) of classes or (B, 2, H, W, 3)."""
    if m.kind == "classes":
        ids = patches(seen.flatten(0, 1), PATCH).unflatten(0, (-1, 2)).transpose(1, 2)
        return one_hot(ids, NUM_CLASSES, torch.float32).flatten(2)
    planes = seen.movedim(-1, 2).flatten(0, 2).float() / 255
    return patches(planes, PATCH).unflatten(0, (-1, 6)).transpose(1, 2).flatten(2)


class SeenRows:
    """Remembers what n rows have seen, for the views of a driver.

    Args:
        contract: of the modalities.
        names: of them.
        lag: see `ViewSettings`.
        num_rows: n.
    """

    def __init__(self, contract: Contract, names: Sequence[str], lag: int, num_rows: int):
        self._classes = {name for name in names if contract.modality(name).kind == "classes"}
        self._names, self._lag = names, lag
        self._past: list[list[dict[str, np.ndarray]]] = [[] for _ in range(num_rows)]

    def update(self, observations: Observations, began: np.ndarray) -> list[dict[str, Tensor]]:
        """Views of each row, a batch of one, after one more observation; `began` (n,) bool as of a `Driver`."""
        views = []
        for i, past in enumerate(self._past):
            now = {}
            for name in self._names:
                seen = observations[name][i]
                now[name] = classes_of(seen) if name in self._classes and seen.ndim == 3 else seen
            if began[i]:
                past.clear()
            past.append(now)
            del past[: -self._lag - 1]
            views.append({n: torch.from_numpy(np.stack([past[0][n], now[n]])[None]) for n in self._names})
        return views
