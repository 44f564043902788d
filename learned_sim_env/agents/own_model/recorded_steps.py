"""Steps of recorded episodes, for agents that learn a model of their own from what was seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.agents.decisions import decided_by
from learned_sim_env.agents.experience.recorded import moments_and_left, training_episodes
from learned_sim_env.agents.experience.worth import of_recorded
from learned_sim_env.agents.own_model.views import ViewSettings
from learned_sim_env.data.packed import PackedData
from learned_sim_env.world_model.checkpoint import Checkpoint


@dataclass(frozen=True, eq=False)
class Window:
    """B stretches of T steps.

    rows: (B, T + 1) int64, of the moments. decided: (B, T, 2). worth, goes_on: (B, T), of each step.
    """

    rows: np.ndarray
    decided: Tensor
    worth: Tensor
    goes_on: Tensor


class RecordedSteps:
    """Stretches of the training split's episodes.

    Args:
        checkpoint: says which modalities are seen, and what the task is.
        data: recorded episodes.
        settings: what is decided and seen, and what steps are worth.
        horizon: T.

    Raises:
        ValueError: if none is that long, rewards were not recorded, or it was another task.
    """

    def __init__(self, checkpoint: Checkpoint, data: PackedData, settings: ViewSettings, horizon: int):
        self._data, self._lag, self._horizon = training_episodes(checkpoint, data), settings.lag, horizon
        self._names, a = tuple(checkpoint.model.observes), self._data.arrays
        starts, lengths = self._data.starts, self._data.lengths
        of_steps = of_recorded(self._data, settings)
        rows, left = moments_and_left(self._data, ("actions", "reward"))
        self._first = rows[left >= horizon]
        if not len(self._first):
            raise ValueError(
                f"no episode has {horizon} successive steps with known actions and rewards: give a shorter --horizon "
                "or collect longer ones"
            )
        self._episode_start = np.zeros(len(a["actions"]), np.int64)
        for start, length in zip(starts, lengths):
            self._episode_start[start : start + length] = start
        self._worth, self._goes_on = of_steps.worth, of_steps.goes_on
        # What was decided at a moment led to the next one.
        before = np.maximum(np.arange(len(a["actions"])) - 1, 0)
        self._decided = decided_by(settings.actions, a["actions"], a["ego"][before]).astype(np.float32)

    def __len__(self) -> int:
        return len(self._first)

    def sample(self, count: int, chance: np.random.Generator) -> Window:
        """`count` stretches."""
        rows = self._first[chance.integers(len(self._first), size=count)][:, None] + np.arange(self._horizon + 1)
        led = rows[:, 1:]
        numbers = (self._decided[led], self._worth[led], self._goes_on[led])
        return Window(rows, *(torch.from_numpy(values) for values in numbers))

    def views(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Views of moments (n,)."""
        both = np.stack([np.maximum(rows - self._lag, self._episode_start[rows]), rows], 1)
        return {name: torch.from_numpy(self._data.read(name, both)) for name in self._names}
