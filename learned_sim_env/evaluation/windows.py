"""Which windows of recorded episodes are evaluated: always the same for the same data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from learned_sim_env.data.episode import MODALITIES, MOVER_SLOTS
from learned_sim_env.data.packed import PackedData
from learned_sim_env.scene import to_frame
from learned_sim_env.training.batches import Batch, WindowSampler
from learned_sim_env.world_model.contexts import CONTEXT_STEPS


@dataclass(frozen=True, eq=False)
class Windows:
    """N windows: the context begins at moment `start` (N,) int64 of the episode with index `episode` (N,) int64."""

    episode: np.ndarray
    start: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, rows: slice | np.ndarray) -> Windows:
        return Windows(self.episode[rows], self.start[rows])

    def repeat(self, times: int) -> Windows:
        """Every window `times` times in a row."""
        return Windows(self.episode.repeat(times), self.start.repeat(times))


def regular_windows(data: PackedData, stride: int, context: int = CONTEXT_STEPS) -> Windows:
    """A window every `stride` steps of every episode, as long as a step follows its context."""
    return _windows([np.arange(0, length - context, stride) for length in data.lengths])


def ending_windows(data: PackedData, stride: int, steps: int, context: int = CONTEXT_STEPS) -> Windows:
    """The windows whose episode terminates within `steps` steps after the context, but for the regular ones."""
    terminated = data.arrays["terminations"][data.starts + data.lengths - 1]
    starts = []
    for length, ends in zip(data.lengths, terminated):
        last = length - 1 - context
        moments = np.arange(max(last - steps + 1, 0), last + 1) if ends else np.zeros(0, np.int64)
        starts.append(moments[moments % stride != 0])
    return _windows(starts)


class WindowReader:
    """Reads windows as batches of `context` moments and `horizon` steps after them, with the modalities `names`.

    scenery: with what stands beside the road as well, where it was recorded.
    """

    def __init__(
        self,
        data: PackedData,
        horizon: int,
        dt: float,
        names: Iterable[str] = MODALITIES,
        context: int = CONTEXT_STEPS,
        scenery: bool = False,
    ):
        self.data, self._context = data, context
        self._sampler = WindowSampler(data, context, horizon, dt, names, scenery)
        self._first = np.cumsum(self._sampler.starts) - self._sampler.starts

    def read(self, windows: Windows) -> Batch:
        """See `training.batches.Batch`."""
        return self._sampler.windows(self._first[windows.episode] + windows.start)

    def mover_velocities(self, windows: Windows) -> np.ndarray | None:
        """(B, 16, 2) float64 [m/s]: of the movers at the last moment of the context, in the frame of the ego then.

        None if no episode has road users.
        """
        if not self.data.has("agents"):
            return None
        arrays = self.data.arrays
        row = self.data.starts[windows.episode] + windows.start + self._context - 1
        frame = np.zeros((len(windows), 1, 3))
        frame[:, 0, 2] = arrays["ego_pose"][row, 2]
        return to_frame(arrays["agent_velocities"][row, :MOVER_SLOTS].astype(np.float64), frame)


def _windows(starts: list[np.ndarray]) -> Windows:
    episode = np.arange(len(starts)).repeat([len(s) for s in starts])
    return Windows(episode, np.concatenate(starts).astype(np.int64))
