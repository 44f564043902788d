"""Drives as strips of pictures, one under the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learned_sim_env.rendering.palette import colourise

# Pictures of a strip, and seams between them [pixels].
FRAMES, SEAM = 11, 2


def strips(drives: Sequence[np.ndarray], horizon: int) -> np.ndarray:
    """Drives as rows of `FRAMES` pictures, evenly spaced over `horizon` steps; black after a drive's end.

    Args:
        drives: views of each, class ids (T + 1, H, W) or frames (T + 1, H, W, 3), uint8.
        horizon: steps that the last picture is after the first.

    Returns:
        (rows, columns, 3) uint8 RGB. The last moment of a drive that ends early is always shown.
    """
    rows = []
    for views in drives:
        times = np.linspace(0, horizon, FRAMES).round().astype(int)
        shown = np.minimum(times, len(views) - 1)
        frames = colourise(views[shown]) if views.ndim == 3 else views[shown]
        picture = np.pad(frames, ((0, 0), (0, SEAM), (0, SEAM), (0, 0)))
        # The first picture after the end is of the end; what would come then was never there.
        gone = np.flatnonzero(times > len(views) - 1)[1:]
        picture[gone] = 0
        rows.append(picture.transpose(1, 0, 2, 3).reshape(picture.shape[1], -1, 3))
    return np.concatenate(rows)
