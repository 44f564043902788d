"""A world model's features of real observations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.starts import Start
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.protocol import device_of


class Filter:
    """The posterior of one row: it takes in every observation and the action that led to it.

    Args:
        checkpoint: of the model.
    """

    def __init__(self, checkpoint: Checkpoint):
        self._model = checkpoint.model
        self._device = device_of(self._model)
        self._inference = Inference(self._device, rows=1)
        self._state: Any = None

    @property
    def observes(self) -> tuple[str, ...]:
        """Modalities that it needs."""
        return tuple(self._model.observes)

    @property
    def size(self) -> int:
        """Number of features."""
        return self._model.latent_size

    def begin(self, observation: Mapping[str, np.ndarray]) -> np.ndarray:
        """Features after the first observation of an episode, before which the model knows nothing; see `go_on`."""
        with self._inference():
            self._state = self._model.initial(1)
        # The action that led here is part of what is observed.
        return self.go_on(observation, observation["ego"][2:4])

    def go_on(self, observation: Mapping[str, np.ndarray], action: np.ndarray) -> np.ndarray:
        """(size,) float32 after one more observation.

        Args:
            observation: by modality, all that the model observes, each of its shape and dtype.
            action: (2,) numbers in [-1, 1] that led to it.
        """
        seen = {name: self._tensor(observation[name]) for name in self._model.observes}
        with self._inference():
            self._state = self._model.observe(self._state, self._tensor(np.asarray(action, np.float32)), seen)
            return self._model.features(self._state)[0].float().cpu().numpy().copy()

    def start(self) -> Start:
        """Where dreams of what comes next begin, one row."""
        with self._inference():
            return Start(self._state, self._model.decode(self._state)["ego"].float().cpu().numpy().copy())

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.array(array)[None]).to(self._device)
