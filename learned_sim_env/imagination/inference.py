"""How a frozen model is called: without gradients, on a suitable number of threads, with torch settings of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from learned_sim_env.world_model.torch_state import own_state

# Rows for each thread of the CPU. Fewer in a thread are slower, and are rounded differently, see `layers.linear`.
ROWS_PER_THREAD = 16


class Inference:
    """Call it for the context in which to call a model.

    Inside, torch has the settings of `own_state` and no gradients, and calls take at most one thread of the CPU for
    every `ROWS_PER_THREAD` rows. Afterwards the caller's settings are restored.

    Args:
        device: where the model is.
        rows: batch size of the calls; None: large.
    """

    def __init__(self, device: torch.device, rows: int | None = None):
        self.device = device
        self._most = sys.maxsize if rows is None else max(1, rows // ROWS_PER_THREAD)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """The context, which can be entered repeatedly but not recursively."""
        threads = torch.get_num_threads()
        if threads > self._most:
            torch.set_num_threads(self._most)
        try:
            with own_state(self.device.type), torch.inference_mode():
                yield
        finally:
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
