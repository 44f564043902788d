"""States from which futures are imagined: warmed up on real observations by the posterior, without a simulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from learned_sim_env.imagination.inference import Inference
from learned_sim_env.world_model.protocol import State, WorldModel, warmed_up

if TYPE_CHECKING:
    from learned_sim_env.world_model.contexts import Contexts

# Contexts that are warmed up together. Which ones is fixed, because a batch of another size may round differently.
CHUNK = 16


@dataclass(frozen=True)
class Start:
    """Where n rows begin. ego: (n, 6) float32. view: (n, H, W) uint8 class ids, or None where it was not drawn."""

    state: State
    ego: np.ndarray
    view: np.ndarray | None = None

    def row(self, i: int) -> Start:
        """Row i alone, sharing memory."""
        state = {name: value[i : i + 1] for name, value in self.state.items()}
        return Start(state, self.ego[i : i + 1], None if self.view is None else self.view[i : i + 1])

    @staticmethod
    def from_snapshot(snapshot: dict[str, Any], ego: np.ndarray) -> Start:
        """One row where `Rollout.snapshot` was taken; `ego` is (6,)."""
        state = {name: torch.from_numpy(np.array(value))[None] for name, value in snapshot["state"].items()}
        view = snapshot["view"]
        return Start(state, ego[None], None if view is None else view[None])

    @staticmethod
    def joined(parts: list[Start]) -> Start:
        """The rows of all parts, copied."""
        with torch.inference_mode():
            state = {name: torch.cat([p.state[name] for p in parts]) for name in parts[0].state}
        views = [p.view for p in parts if p.view is not None]
        return Start(state, np.concatenate([p.ego for p in parts]), np.concatenate(views) if views else None)


class Starts:
    """Starts from a checkpoint's contexts or from a user's own observations.

    A context is warmed up when it is first asked for, and kept: its start is the same bit for bit whoever asks, in
    whatever order. What is kept is bounded by the number of contexts.

    Args:
        model: the world model.
        contexts: real steps, (N, 5, ...).
        inference: how to call the model.
        pictures: draw the view of every start as well.
    """

    def __init__(self, model: WorldModel, contexts: Contexts, inference: Inference, pictures: bool):
        self._model, self._contexts, self._inference, self._pictures = model, contexts, inference, pictures
        self._warm: dict[int, Start] = {}

    def from_contexts(self, indices: np.ndarray) -> Start:
        """The starts of contexts `indices` (n,) int64."""
        return Start.joined([self._from_context(int(i)) for i in indices])

    def from_observations(self, semantic: np.ndarray, ego: np.ndarray, actions: np.ndarray) -> Start:
        """Starts after T real steps of n rows.

        Args:
            semantic: (n, T, H, W) uint8 class ids.
            ego: (n, T, 6) float32.
            actions: (n, T, 2) float32; action t led to observation t.
        """
        with self._inference():
            device = self._inference.device
            ids, vector, action = (torch.tensor(array).to(device) for array in (semantic, ego, actions))
            state = warmed_up(self._model, ids, vector, action)
            decoded = self._model.decode(state)["ego"].float().cpu().numpy()
            if not self._pictures:
                return Start(state, decoded)
            view, state = self._model.draw(state)
            return Start(state, decoded, view.cpu().numpy())

    def _from_context(self, i: int) -> Start:
        if i not in self._warm:
            rows = range(i // CHUNK * CHUNK, min(i // CHUNK * CHUNK + CHUNK, len(self._contexts.ego)))
            c = self._contexts
            chunk = self.from_observations(c.semantic[rows], c.ego[rows], c.actions[rows])
            self._warm.update((row, chunk.row(row - rows[0])) for row in rows)
        return self._warm[i]
