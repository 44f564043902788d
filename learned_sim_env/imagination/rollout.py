"""Batched rollouts of a world model: each row has its own past, seed and step, and is independent of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.starts import Start
from learned_sim_env.imagination.step import COLUMNS, Step
from learned_sim_env.spec import unknown
from learned_sim_env.world_model.protocol import State, WorldModel, compact
from learned_sim_env.world_model.traced import played


@dataclass(frozen=True)
class Imagined:
    """One imagined step of B rows.

    ego: (B, 6) float32, see `spec.EGO_FIELDS`. motion: (B, 3) float32, see `spec.MOTION_FIELDS`. terms: (B, 4) float32,
    see `task.GRADED_TERMS`. events: (B, 4) bool, sampled, see `task.EVENTS`. probabilities: (B, 4) float32, with which
    they were. uncertainty: (B,) float32. finite: (B,) bool, whether all of these and the features were finite.
    everywhere: whether `finite` holds in all rows.
    """

    ego: np.ndarray
    motion: np.ndarray
    terms: np.ndarray
    events: np.ndarray
    probabilities: np.ndarray
    uncertainty: np.ndarray
    finite: np.ndarray
    everywhere: bool

    def or_nothing(self) -> Imagined:
        """The same, with zeros in rows that are not finite."""
        if self.everywhere:
            return self
        said = {f.name: getattr(self, f.name).copy() for f in fields(self) if f.name != "everywhere"}
        for values in said.values():
            values[~self.finite] = 0
        return Imagined(**said, everywhere=False)


class Rollout:
    """B rows of imagination that advance together.

    A row's future is the same bit for bit whatever the other rows do, however many there are and wherever among them it
    stands, for a model whose operations are so (see `world_model.layers.linear`). This holds on one machine, with one
    version of torch, on a CPU: on one thread for any number of rows, on several for up to 112 rows and for multiples of
    16 up to 336. Beyond, some numbers may be rounded differently where tensors are split over threads. Memory and time
    of a step do not depend on the number of earlier steps.

    Args:
        model: the world model, frozen.
        num_rows: B.
        inference: how to call the model.
        temperature: 1 samples from the model's distributions; 0 takes the mode, and events likelier than not.

    Raises:
        ValueError: for a negative temperature.

    Attributes:
        seeds: (B,) int64, which with the step determines a row's noise.
        steps: (B,) int64, steps since the row started.
    """

    def __init__(self, model: WorldModel, num_rows: int, inference: Inference, temperature: float = 1.0):
        if not temperature >= 0:
            raise ValueError(f"temperature {temperature!r} is not 0 or more: 1 samples, 0 takes the mode")
        self.model, self.temperature = model, temperature
        self._inference = inference
        self._step: Any = Step(model, temperature)
        self.seeds, self.steps = np.zeros(num_rows, np.int64), np.zeros(num_rows, np.int64)
        with inference():
            # Copied, because rows are written in place and a model may expand one row to many.
            self._state = {name: value.clone() for name, value in model.initial(num_rows).items()}
        self._dtypes = {name: value.dtype for name, value in self._state.items()}
        shown = [model.contract.modality(name) for name in model.draws]
        self._pictures = {m.name: np.zeros((num_rows, *m.shape), m.dtype) for m in shown}
        self._drawn = {m.name: np.zeros(num_rows, bool) for m in shown}
        self._features: torch.Tensor | None = None  # of the state as it is, if known

    def __len__(self) -> int:
        return len(self.seeds)

    def start(self, rows: np.ndarray, start: Start, seeds: np.ndarray | int, steps: np.ndarray | int = 0) -> None:
        """Put `rows` (n,) int64 at the n rows, or the only row, of a start; other rows are left as they are."""
        with self._inference():
            index = torch.from_numpy(rows).to(self._inference.device)
            state = {n: value.to(self._inference.device, self._dtypes[n]) for n, value in start.state.items()}
            for name, value in state.items():
                self._state[name][index] = value
            if self._features is not None:
                self._features[index] = self.model.features(state)
        self.seeds[rows], self.steps[rows] = seeds, steps
        for name, drawn in self._drawn.items():
            drawn[rows] = name in start.drawn
            if name in start.drawn:
                self._pictures[name][rows] = start.drawn[name]

    def step(self, actions: np.ndarray) -> Imagined:
        """Imagine one clock step of every row under `actions` (B, 2) float32 in [-1, 1].

        A row whose result is not finite keeps its state.
        """
        device, step = self._inference.device, self._step
        with self._inference():
            given = [torch.from_numpy(array).to(device) for array in (actions, self.seeds, self.steps)]
            arguments = (self._state, *given)
            if self.model.static_graph:
                step = played(step, "forward", arguments, self.model, step.temperature)
            before = self._state
            self._state, packed, self._features = step(*arguments)
            # One transfer, however many heads.
            results = packed.cpu().numpy()
            finite = np.isfinite(results).all(1)
            everywhere = bool(finite.all())
            if not everywhere:
                self._stay(np.flatnonzero(~finite), before)
        self.steps += 1
        for drawn in self._drawn.values():
            drawn[slice(None) if everywhere else finite] = False
        ego, motion, terms, events, uncertainty, _, likely = (results[:, columns] for columns in COLUMNS.values())
        return Imagined(ego, motion, terms, events > 0, likely, uncertainty[:, 0], finite, everywhere)

    def features(self) -> np.ndarray:
        """(B, latent_size) float32 of every row; never draws."""
        with self._inference():
            if self._features is None:
                self._features = self.model.features(self._state)
            # Copied, because a model may return a tensor of the state, whose rows are written in place.
            return self._features.float().cpu().numpy().copy()

    def draw(self, names: Sequence[str], rows: np.ndarray | None = None) -> None:
        """Draw the modalities `names` in `rows` (n,) int64, or in all, where they were not drawn since the last step.

        Raises:
            ValueError: for a modality that the model does not draw.
        """
        for name in names:
            if name not in self._drawn:
                raise unknown("modality that the model draws:", name, self._drawn)
        missing = np.any([~self._drawn[name] for name in names], 0) if len(names) else np.zeros(len(self), bool)
        blank = np.flatnonzero(missing) if rows is None else rows[missing[rows]]
        if not len(blank):
            return
        with self._inference():
            if len(blank) == len(self):
                drawn, self._state = self.model.draw(self._state, names)
            else:
                index = torch.from_numpy(blank).to(self._inference.device)
                drawn, state = self.model.draw({name: value[index] for name, value in self._state.items()}, names)
                for name, value in state.items():
                    self._state[name][index] = value
            for name in names:
                self._pictures[name][blank] = drawn[name].cpu().numpy()
        for name in names:
            self._drawn[name][blank] = True

    def drawn(self, name: str, rows: np.ndarray) -> np.ndarray:
        """(n, *shape) of a modality of `rows` (n,) int64, copied; drawn if need be."""
        self.draw((name,), rows)
        return self._pictures[name][rows]

    def _stay(self, rows: np.ndarray, before: State) -> None:
        """Put `rows` (n,) int64 back to where they were in the state `before` the step."""
        index = torch.from_numpy(rows).to(self._inference.device)
        stayed = {name: value[index] for name, value in before.items()}
        for name, value in stayed.items():
            self._state[name][index] = value
        if self._features is not None:
            self._features[index] = self.model.features(stayed)

    def snapshot(self, row: int) -> dict[str, Any]:
        """Everything about a row, as NumPy arrays and integers that share no memory with it.

        "state": the model's, compact. "drawn": by modality, what was drawn of it. "seed", "step".
        """
        with self._inference():
            kept = compact(self.model, {name: value[row : row + 1] for name, value in self._state.items()})
        return {
            "state": {name: _array(value[0]) for name, value in kept.items()},
            "drawn": {name: self._pictures[name][row].copy() for name, drawn in self._drawn.items() if drawn[row]},
            "seed": int(self.seeds[row]),
            "step": int(self.steps[row]),
        }

    def layout(self) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """Shape and type of every part of the state in a `snapshot`."""
        with self._inference():
            kept = compact(self.model, {name: value[:1] for name, value in self._state.items()})
        empty = {name: _array(value[:0]) for name, value in kept.items()}
        return {name: (value.shape[1:], value.dtype) for name, value in empty.items()}


def _array(tensor: torch.Tensor) -> np.ndarray:
    """A copy. NumPy has no bfloat16; float32 holds its values exactly."""
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).cpu().numpy().copy()
