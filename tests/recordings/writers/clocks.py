"""What several formats write alike: whole numbers of time, and turns as quaternions."""

from __future__ import annotations

import numpy as np

MICRO, NANO = 1_000_000, 1_000_000_000
START = 1_700_000_000


def quaternion(heading: float) -> list[float]:
    """w, x, y, z of a turn about the vertical."""
    return [float(np.cos(heading / 2)), 0.0, 0.0, float(np.sin(heading / 2))]


def quaternion_of(matrix: np.ndarray) -> np.ndarray:
    """w, x, y, z of a rotation matrix: the eigenvector of Bar-Itzhack's matrix."""
    m = matrix
    k = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], m[1, 0] + m[0, 1], m[2, 0] + m[0, 2], m[2, 1] - m[1, 2]],
            [m[1, 0] + m[0, 1], m[1, 1] - m[0, 0] - m[2, 2], m[2, 1] + m[1, 2], m[0, 2] - m[2, 0]],
            [m[2, 0] + m[0, 2], m[2, 1] + m[1, 2], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
        ]
    )
    x, y, z, w = np.linalg.eigh(k)[1][:, -1]
    return np.array([w, x, y, z])
