"""Curves and pictures of a run, for TensorBoard."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from learned_sim_env.files import space_for
from learned_sim_env.optional import require


class Curves:
    """Writes into `folder`. step: the first one; what an earlier run wrote beyond it is dropped.

    Every method raises `DiskFull` if there is no space, be it for its own data or for earlier data.

    Raises:
        ImportError: if TensorBoard is not installed.
    """

    def __init__(self, folder: Path, step: int):
        require("tensorboard", extra="train")
        from torch.utils.tensorboard import SummaryWriter

        self._folder, self._writer = folder, SummaryWriter(folder, purge_step=step)
        if threading.excepthook is threading.__excepthook__:
            threading.excepthook = _said_once

    def numbers(self, kind: str, values: Mapping[str, float], step: int) -> None:
        """A point of each curve."""
        with space_for(self._folder):
            for name, value in values.items():
                self._writer.add_scalar(f"{kind}/{name}", value, step)

    def picture(self, name: str, picture: np.ndarray, step: int) -> None:
        """(H, W, 3) uint8."""
        with space_for(self._folder):
            self._writer.add_image(name, picture, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        with space_for(self._folder):
            self._writer.close()


def _said_once(arguments: threading.ExceptHookArgs) -> None:
    """Print no error of TensorBoard's thread: the next call of `Curves` raises it again."""
    if not type(arguments.thread).__module__.startswith("tensorboard"):
        threading.__excepthook__(arguments)
