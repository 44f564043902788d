"""Which boxes overlap: upright ones, turned about the vertical."""

from __future__ import annotations

from collections.abc import Sequence
from math import radians

import numpy as np

from learned_sim_env.carla_standin.world.actors import Actor


def boxes_of(actors: Sequence[Actor]) -> np.ndarray:
    """(N, 7) float64: x, y, z of the middle [m], yaw [rad], half length, half width, half height [m]."""
    rows = [(a.place[0], a.place[1], a.place[2] + a.rise, radians(a.place[4]), *a.blueprint.extent) for a in actors]
    return np.array(rows, np.float64).reshape(-1, 7)


def overlaps(boxes: np.ndarray) -> list[tuple[int, int]]:
    """Index pairs i < j of boxes (N, 7) that overlap, by the separating-axis test."""
    if len(boxes) < 2:
        return []
    radius, tall = np.hypot(boxes[:, 4], boxes[:, 5]), boxes[:, 6]
    offset = boxes[None, :, :3] - boxes[:, None, :3]
    near = (offset[..., :2] ** 2).sum(-1) < (radius[:, None] + radius[None]) ** 2
    near &= np.abs(offset[..., 2]) <= tall[:, None] + tall[None]
    first, second = np.nonzero(np.triu(near, 1))
    if not len(first):
        return []
    a, b, d = boxes[first], boxes[second], offset[first, second]
    c, s = np.abs(np.cos(a[:, 3] - b[:, 3])), np.abs(np.sin(a[:, 3] - b[:, 3]))
    apart = np.zeros(len(a), bool)
    for own, other in ((a, b), (b, a)):
        cos, sin = np.cos(own[:, 3]), np.sin(own[:, 3])
        apart |= np.abs(d[:, 0] * cos + d[:, 1] * sin) > own[:, 4] + other[:, 4] * c + other[:, 5] * s
        apart |= np.abs(-d[:, 0] * sin + d[:, 1] * cos) > own[:, 5] + other[:, 4] * s + other[:, 5] * c
    return [(int(i), int(j)) for i, j, free in zip(first, second, apart) if not free]
