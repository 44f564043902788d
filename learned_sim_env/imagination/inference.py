"""How calls of a frozen model are made: without gradients, on a sensible number of threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Inference:
    """Called, it gives the context in which to call a model.

    Args:
        device: where the model is.
        one_thread: use a single thread of the CPU inside the context, as suits small batches; the number of threads is
            what it was afterwards. Without effect where the variable OMP_NUM_THREADS is set.
    """

    def __init__(self, device: torch.device, one_thread: bool = False):
        self.device = device
        self.one_thread = one_thread and "OMP_NUM_THREADS" not in os.environ

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """The context; may be entered again and again, not recursively."""
        threads = torch.get_num_threads()
        if self.one_thread and threads > 1:
            torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                yield
        finally:
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
