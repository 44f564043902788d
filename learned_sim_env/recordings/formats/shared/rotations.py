"""Quaternions w, x, y, z as angles and matrices."""

from __future__ import annotations

import numpy as np

from learned_sim_env.recordings.recording import RecordingError


def matrix_of(quaternions: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) of quaternions (..., 4) w, x, y, z, which need not have a length of exactly 1.

    Raises:
        RecordingError: for one whose length is far from 1.
    """
    q = np.asarray(quaternions, np.float64)
    length = np.linalg.norm(q, axis=-1)
    if not (np.abs(length - 1) < 0.05).all():
        worst = float(length.ravel()[np.abs(length.ravel() - 1).argmax()])
        raise RecordingError(f"a quaternion has a length of {worst:.3g}, not 1")
    w, x, y, z = np.moveaxis(q / length[..., None], -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, -1) for row in rows], -2)


def yaw_of(quaternions: np.ndarray) -> np.ndarray:
    """(...) angle [rad] of the turned x axis on the ground, counter-clockwise."""
    turned = matrix_of(quaternions)
    return np.arctan2(turned[..., 1, 0], turned[..., 0, 0])
