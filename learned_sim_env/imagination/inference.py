"""How calls of a frozen model are made: without gradients, on a sensible number of threads, in a state of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from learned_sim_env.world_model.torch_state import own_state

# Rows that are worth a thread of the CPU; fewer in a thread would be rounded otherwise as well, see `layers.linear`.
ROWS_PER_THREAD = 16


class Inference:
    """Called, it gives the context in which to call a model.

    Inside, torch's state is what `own_state` makes it, without gradients, and calls take at most a thread of the CPU
    for every `ROWS_PER_THREAD` rows; afterwards all of it is what it was.

    Args:
        device: where the model is.
        rows: that it is called with; None: many.
    """

    def __init__(self, device: torch.device, rows: int | None = None):
        self.device = device
        self._most = sys.maxsize if rows is None else max(1, rows // ROWS_PER_THREAD)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """The context; may be entered again and again, not recursively."""
        threads = torch.get_num_threads()
        if threads > self._most:
            torch.set_num_threads(self._most)
        try:
            with own_state(self.device.type), torch.inference_mode():
                yield
        finally:
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
