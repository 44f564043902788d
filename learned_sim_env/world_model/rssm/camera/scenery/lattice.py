"""The ground in squares, each of which is decided once: what stands there, if anything does.

Squares are fixed in the frame of the last real observation (the anchored frame), five cells of the remembered map a
side, so that their middles are middles of such cells. What is large is decided when a square comes within `FAR_REACH`
of the ego, so that it appears small, mostly before its map is known; what is thin, and stands at the very edge of the
road, when the road there is known. Where so much stands around that not all of it can be remembered, nothing is decided
beyond the farthest thing that is. A square that is left behind is forgotten together with what stands on it, and is
decided anew should the ego come back: nothing is ever decided twice while it is remembered.

In a state: `scenery_decided` (B, SIDE * SIDE) uint8, 0 for a square of which nothing is decided, `LARGE` and `ALL`. The
squares are a torus around the ego, as in `map.memory`: square (u, v) lies at index (u mod SIDE, v mod SIDE).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from learned_sim_env.world_model.geometry import turn

# Side of a square in cells of the map, an odd number; squares along the torus's side, a power of two.
CELLS, SIDE = 5, 64
LARGE, ALL = 1, 2
# [m] How near a square's middle is when what is large, and what is thin, is decided: the latter as far as views show.
FAR_REACH, NEAR_REACH = 75.0, 36.0
# [m] How far pictures are relied on for what is large: beyond, more and more of it is missed, and may yet be born.
SEEN_REACH = 64.0
# [m] So much farther, and beside or behind the ego within this distance, a square is remembered.
MARGIN, BESIDE = 5.0, 18.0
# [m] Farther than any square.
NEVER = 1e4
# Cosines of bearings: up to which pictures show a square, up to which it is decided, and up to which it is remembered.
SHOWN, DECIDED, REMEMBERED = (math.cos(math.radians(angle)) for angle in (92.0, 105.0, 125.0))


class Squares(NamedTuple):
    """N squares of a batch that are due to be decided, row by row, in each row the nearest first.

    row: (N,) int64 in the batch. rank: (N,) int64, how many come before it in the row. square: (N,) int64 in the torus.
    number: (N, 2) int64, u and v in the plane. middle: (N, 2) [m], anchored. stage: (N,) int64, what of it is decided
    already, 0 or `LARGE`.
    """

    row: Tensor
    rank: Tensor
    square: Tensor
    number: Tensor
    middle: Tensor
    stage: Tensor


class Lattice:
    """The squares of a map with cells of `metres_per_pixel`."""

    def __init__(self, metres_per_pixel: float):
        self.side = CELLS * metres_per_pixel  # [m]
        self._middle = CELLS // 2 * metres_per_pixel  # [m] from a square's first cell to its middle one

    def seen(self, pose: Tensor) -> Tensor:
        """(B, SIDE * SIDE) uint8: what is decided since it can be seen from `pose` (B, 3), empty or not."""
        far, ahead = self._seen_from(pose)
        return self._levels(far, ahead, SHOWN, SEEN_REACH)

    def in_reach(self, pose: Tensor, reach: Tensor) -> Tensor:
        """(B, SIDE * SIDE) uint8: what has been decided when the ego is at `pose` (B, 3), within `reach` (B,) [m]."""
        return self._levels(*self._seen_from(pose), DECIDED, reach[:, None])

    def holds(self, places: Tensor, pose: Tensor) -> Tensor:
        """(B, K) bool: whether what stands at `places` (B, K, 2) is remembered at `pose` (B, 3): as squares are, and
        what pictures showed farther ahead than those.
        """
        away = self.numbers(places) * self.side + self._middle - pose[:, None, :2]
        far, ahead = seen_from(away, pose)
        return self._kept(far, ahead, FAR_REACH + MARGIN) | ((far >= FAR_REACH) & (ahead > REMEMBERED * far))

    def numbers(self, places: Tensor) -> Tensor:
        """(..., 2) int64: the squares that `places` (..., 2) [m] are in."""
        return ((places - self._middle) / self.side + 0.5).floor().long()

    def index(self, number: Tensor) -> Tensor:
        """(...) int64: where squares (..., 2) lie in the torus."""
        u, v = (number & SIDE - 1).unbind(-1)
        return u * SIDE + v

    def due(self, decided: Tensor, pose: Tensor, count: int, reach: Tensor) -> tuple[Tensor, Squares]:
        """What is decided, less what the ego at `pose` (B, 3) has left behind and what is beyond `reach` (B,) [m], if
        that is less than `FAR_REACH`; and up to `count` squares of each row that are to be decided, the nearest ones.
        """
        far, ahead = self._seen_from(pose)
        until = torch.where(reach < FAR_REACH, reach, FAR_REACH + MARGIN)[:, None]
        decided = decided * self._kept(far, ahead, until)
        waiting = decided < self._levels(far, ahead, DECIDED, reach[:, None])
        row, index = waiting.nonzero(as_tuple=True)
        # Rows stay in order, and so do squares that are equally far.
        order = (row * NEVER + far[row, index].double()).sort(stable=True).indices
        each = waiting.sum(-1)
        rank = torch.arange(len(row), device=row.device) - (each.cumsum(-1) - each)[row]
        row, rank, index = (x[rank < count] for x in (row, rank, index[order]))
        u, v = self._numbers(pose)
        number = torch.stack([u[row, index // SIDE], v[row, index % SIDE]], -1)
        middle = number * self.side + self._middle
        return decided, Squares(row, rank, index, number, middle, decided[row, index].long())

    def _numbers(self, pose: Tensor) -> tuple[Tensor, Tensor]:
        """u and v (B, SIDE) int64 in the plane of the rows and columns of a torus around `pose`."""
        here = self.numbers(pose[:, :2])[..., None] - SIDE // 2
        u, v = (here + ((torch.arange(SIDE, device=pose.device) - here) & SIDE - 1)).unbind(1)
        return u, v

    def _seen_from(self, pose: Tensor) -> tuple[Tensor, Tensor]:
        """(B, SIDE * SIDE) each [m]: how far squares' middles are from the ego, and how far ahead of it."""
        x, y = (n * self.side + self._middle - pose[:, i, None] for i, n in enumerate(self._numbers(pose)))
        c, s = torch.view_as_real(turn(pose[:, 2:])).unbind(-1)
        far = ((x * x)[:, :, None] + (y * y)[:, None]).sqrt()
        return far.flatten(1), ((x * c)[:, :, None] + (y * s)[:, None]).flatten(1)

    @staticmethod
    def _levels(far: Tensor, ahead: Tensor, bearing: float, reach: Tensor | float) -> Tensor:
        turned_to = ahead > bearing * far
        return (turned_to & (far < reach)).to(torch.uint8) + (turned_to & (far < NEAR_REACH)).to(torch.uint8)

    @staticmethod
    def _kept(far: Tensor, ahead: Tensor, until: Tensor | float) -> Tensor:
        return (far < until) & ((ahead > REMEMBERED * far) | (far < BESIDE))


def seen_from(away: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
    """Distances (B, N) [m] and how far ahead of the ego (B, N) [m], of places `away` (B, N, 2) from where it is."""
    return (away * away).sum(-1).sqrt(), (away * torch.view_as_real(turn(pose[:, 2:]))).sum(-1)
