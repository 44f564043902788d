"""Arrays as the rows that `Moments` reads."""

from __future__ import annotations

import numpy as np


class Recorded:
    def __init__(self, arrays: dict[str, np.ndarray]):
        self.arrays = arrays

    def read(self, name: str, rows: np.ndarray) -> np.ndarray:
        return self.arrays[name][rows]
