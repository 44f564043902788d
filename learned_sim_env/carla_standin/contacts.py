"""Which boxes overlap on the plane."""

from __future__ import annotations

from collections.abc import Sequence
from math import radians

import numpy as np

from learned_sim_env.carla_standin.actors import Actor


def boxes_of(actors: Sequence[Actor]) -> np.ndarray:
    """(N, 5) float64: x, y [m], yaw [rad], half length, half width [m]."""
    rows = [(a.place[0], a.place[1], radians(a.place[4]), *a.blueprint.extent[:2]) for a in actors]
    return np.array(rows, np.float64).reshape(-1, 5)


def overlaps(boxes: np.ndarray) -> list[tuple[int, int]]:
    """Index pairs i < j of boxes (N, 5) that overlap, by the separating-axis test."""
    if len(boxes) < 2:
        return []
    radius = np.hypot(boxes[:, 3], boxes[:, 4])
    offset = boxes[None, :, :2] - boxes[:, None, :2]
    near = (offset**2).sum(-1) < (radius[:, None] + radius[None]) ** 2
    first, second = np.nonzero(np.triu(near, 1))
    if not len(first):
        return []
    a, b, d = boxes[first], boxes[second], offset[first, second]
    c, s = np.abs(np.cos(a[:, 2] - b[:, 2])), np.abs(np.sin(a[:, 2] - b[:, 2]))
    apart = np.zeros(len(a), bool)
    for own, other in ((a, b), (b, a)):
        cos, sin = np.cos(own[:, 2]), np.sin(own[:, 2])
        apart |= np.abs(d[:, 0] * cos + d[:, 1] * sin) > own[:, 3] + other[:, 3] * c + other[:, 4] * s
        apart |= np.abs(-d[:, 0] * sin + d[:, 1] * cos) > own[:, 4] + other[:, 3] * s + other[:, 4] * c
    return [(int(i), int(j)) for i, j, free in zip(first, second, apart) if not free]
