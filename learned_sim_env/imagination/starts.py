"""States from which futures are imagined: warmed up on real observations by the posterior, without a simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from learned_sim_env.imagination.inference import Inference
from learned_sim_env.world_model.protocol import State, WorldModel, expand, warmed_up

if TYPE_CHECKING:
    from learned_sim_env.world_model.contexts import Contexts

# Contexts that are warmed up together, in fixed groups, because a batch of another size may round differently.
CHUNK = 16


@dataclass(frozen=True)
class Start:
    """Where n rows begin. ego: (n, 6) float32. drawn: by modality, (n, *shape), what was drawn of it."""

    state: State
    ego: np.ndarray
    drawn: Mapping[str, np.ndarray] = field(default_factory=dict)

    def row(self, i: int) -> Start:
        """Row i alone, sharing memory."""
        state = {name: value[i : i + 1] for name, value in self.state.items()}
        return Start(state, self.ego[i : i + 1], {name: value[i : i + 1] for name, value in self.drawn.items()})

    @staticmethod
    def from_snapshot(model: WorldModel, inference: Inference, snapshot: dict[str, Any], ego: np.ndarray) -> Start:
        """One row where `Rollout.snapshot` was taken; `ego` is (6,)."""
        kept = {name: torch.from_numpy(np.array(value))[None] for name, value in snapshot["state"].items()}
        with inference():
            state = expand(model, {name: value.to(inference.device) for name, value in kept.items()})
        return Start(state, ego[None], {name: value[None] for name, value in snapshot["drawn"].items()})

    @staticmethod
    def joined(parts: list[Start]) -> Start:
        """The rows of all parts, copied."""
        with torch.inference_mode():
            state = {name: torch.cat([p.state[name] for p in parts]) for name in parts[0].state}
        drawn = {name: np.concatenate([p.drawn[name] for p in parts]) for name in parts[0].drawn}
        return Start(state, np.concatenate([p.ego for p in parts]), drawn)


class Starts:
    """Starts from a checkpoint's contexts or from a user's own observations.

    A context is warmed up on first use and kept: its start is the same bit for bit, in whatever order contexts are
    used. Memory is bounded by the number of contexts.

    Args:
        model: the world model.
        contexts: real steps, (N, T, ...).
        inference: how to call the model.
        names: modalities to draw of every start as well.
    """

    def __init__(self, model: WorldModel, contexts: Contexts, inference: Inference, names: Sequence[str] = ()):
        self._model, self._contexts, self._inference, self._names = model, contexts, inference, tuple(names)
        self._warm: dict[int, Start] = {}

    def from_contexts(self, indices: np.ndarray) -> Start:
        """The starts of contexts `indices` (n,) int64."""
        return Start.joined([self._from_context(int(i)) for i in indices])

    def from_observations(self, observations: Mapping[str, np.ndarray], actions: np.ndarray) -> Start:
        """Starts after T real steps of n rows.

        Args:
            observations: (n, T, *shape) of every modality that the model observes.
            actions: (n, T, 2) float32; action t led to observation t.
        """
        with self._inference():
            device = self._inference.device
            # torch reads no array backwards, such as a picture that was mirrored.
            seen = {name: torch.from_numpy(observations[name].copy()).to(device) for name in self._model.observes}
            state = warmed_up(self._model, seen, torch.from_numpy(actions.copy()).to(device))
            decoded = self._model.decode(state)["ego"].float().cpu().numpy()
            drawn, state = self._model.draw(state, self._names) if self._names else ({}, state)
            return Start(state, decoded, {name: value.cpu().numpy() for name, value in drawn.items()})

    def _from_context(self, i: int) -> Start:
        if i not in self._warm:
            c = self._contexts
            rows = range(i // CHUNK * CHUNK, min(i // CHUNK * CHUNK + CHUNK, len(c)))
            # Contexts may be longer than the model needs.
            last = slice(-self._model.context_steps, None)
            seen = {name: c.observations[name][rows][:, last] for name in self._model.observes}
            chunk = self.from_observations(seen, c.actions[rows][:, last])
            self._warm.update((row, chunk.row(row - rows[0])) for row in rows)
        return self._warm[i]
