"""The remembered map: class ids on a square grid that stays fixed to the ground while the ego moves over it.

The grid is anchored to the ego's frame at the last real observation, cell for pixel, so that what was seen is copied
without resampling and read once, through the pose accumulated since. It is a torus: cell (u, v) of the anchored plane
lives at index (u mod M, v mod M), and `origin` says which window of the plane is held, so that following the ego only
forgets what falls out behind.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from learned_sim_env.spec import BevSpec, SemanticClass
from learned_sim_env.world_model.geometry import points_from, view_points

# What can be remembered: everything that stands still. Movers and the ego hide it.
NUM_STATIC = SemanticClass.STATIC_OBJECT + 1
UNKNOWN = NUM_STATIC
# Set on cells that were imagined rather than seen.
IMAGINED = 0x80
# [cells] The window follows the ego in steps of this size.
STRIDE = 8


class MapMemory:
    """Reads and writes maps of `size` x `size` cells, (B, size, size) uint8, with origins (B, 2) int32."""

    def __init__(self, bev: BevSpec, size: int):
        if size & (size - 1):
            raise ValueError(f"map size {size} is not a power of two")
        self.bev, self.size = bev, size
        self.points = view_points(bev)

    def empty(self, batch_size: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """A map of which nothing is known, and its origin, with the anchor in the middle."""
        cells = torch.full((batch_size, self.size, self.size), UNKNOWN, dtype=torch.uint8, device=device)
        return cells, torch.full((batch_size, 2), -self.size // 2, dtype=torch.int32, device=device)

    def read(self, cells: Tensor, origin: Tensor, points: Tensor, seen_only: bool = False) -> Tensor:
        """Class ids (B, N) uint8 at anchored `points` (B, N, 2) [m]; UNKNOWN where nothing is remembered."""
        ids = self._raw(cells, origin, points)
        return torch.where(ids < IMAGINED, ids, UNKNOWN) if seen_only else ids & (IMAGINED - 1)

    def read_view(self, cells: Tensor, origin: Tensor, pose: Tensor) -> Tensor:
        """What is remembered of the view from an anchored `pose` (B, 3): (B, H, W) uint8."""
        index, held = self._locate_view(origin, pose)
        return torch.where(held, self._look(cells, index), UNKNOWN)

    def complete_view(self, cells: Tensor, origin: Tensor, pose: Tensor, imagine: Callable[[Tensor], Tensor]) -> Tensor:
        """The view from `pose`, after what is not known of it was imagined and committed to `cells`, in place.

        Args:
            cells, origin: a map whose window follows `pose`, so that it holds all of the view.
            imagine: from what is remembered (B, H, W) uint8 to the same with something known in place of UNKNOWN.
        """
        index, _ = self._locate_view(origin, pose)
        remembered = self._look(cells, index)
        self.write_imagined(cells, origin, pose, imagine(remembered), remembered == UNKNOWN)
        # Read back, because two pixels of a turned view may share a cell: what is shown is what is remembered.
        return self._look(cells, index)

    def follow(self, cells: Tensor, origin: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Move the window so that `pose` (B, 3) is near its middle; what falls out is forgotten. New map and origin."""
        cell = pose[:, :2] / self.bev.metres_per_pixel
        wanted = (cell / STRIDE).round().int() * STRIDE - self.size // 2
        cells = cells.clone()
        moved = (wanted != origin).any(-1).nonzero()[:, 0]
        if len(moved):
            index = torch.arange(self.size, device=cells.device)
            old, new = origin[moved, :, None], wanted[moved, :, None]
            gone = old + (index - old) % self.size != new + (index - new) % self.size
            cells[moved] = cells[moved].masked_fill(gone[:, 0, :, None] | gone[:, 1, None, :], UNKNOWN)
        return cells, wanted

    def write_imagined(self, cells: Tensor, origin: Tensor, pose: Tensor, ids: Tensor, new: Tensor) -> None:
        """Write view pixels (B, H, W) uint8 where `new` (B, H, W) to cells of which nothing is known, in place."""
        row, pixel = new.flatten(1).nonzero(as_tuple=True)
        if not len(row):
            return
        points = points_from(self.points.to(pose.device)[pixel][:, None], pose[row])[:, 0]
        values = ids.flatten(1)[row, pixel] | IMAGINED
        at = points / self.bev.metres_per_pixel
        flat = cells.view(-1)
        # A turned pixel grid leaves holes: the four cells around a pixel first, its nearest last.
        low = at.floor().int()
        corners = [low, low + low.new_tensor([0, 1]), low + low.new_tensor([1, 0]), low + 1, at.round().int()]
        target = [self._index(origin[row], *corner.unbind(-1)) for corner in corners]
        free = [held & (flat[row * self.size**2 + index] == UNKNOWN) for index, held in target]
        for (index, _), ok in zip(target, free):
            flat[(row * self.size**2 + index)[ok]] = values[ok]

    def observe(self, cells: Tensor, origin: Tensor, pose: Tensor, semantic: Tensor) -> tuple[Tensor, Tensor]:
        """A new map anchored to `pose` (B, 3): `semantic` (B, H, W) uint8 seen there and, around it, the old map."""
        b, m = len(pose), self.bev.metres_per_pixel
        fresh, new_origin = self.empty(b, cells.device)
        u = torch.arange(self.size, device=cells.device, dtype=torch.int32) - self.size // 2
        grid = torch.stack(torch.meshgrid(u, u, indexing="ij"), -1).reshape(1, -1, 2)
        index, _ = self._index(new_origin[:, None], *grid.expand(b, -1, -1).unbind(-1))
        old = self._raw(cells, origin, points_from(grid * m, pose))
        fresh = fresh.flatten(1).scatter(1, index, old)
        view = (self.points.to(cells.device) / m).round().int()[None].expand(b, -1, -1)
        index, _ = self._index(new_origin[:, None], *view.unbind(-1))
        ids = semantic.flatten(1)
        fresh.scatter_(1, index, torch.where(ids < NUM_STATIC, ids, fresh.gather(1, index)))
        return fresh.view(b, self.size, self.size), new_origin

    def _locate_view(self, origin: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Flat index (B, H, W) of the cells under a view's pixels, and whether the window holds them."""
        bev = self.bev
        forward = bev.ego_row - torch.arange(bev.height, device=pose.device)[:, None]
        left = bev.ego_column - torch.arange(bev.width, device=pose.device)
        x, y, c, s = (v[:, None, None] for v in (*(pose[:, :2] / bev.metres_per_pixel).unbind(-1), *_direction(pose)))
        # A row's and a column's share of a pixel's place, added up: far cheaper than turning every pixel's.
        u, v = (x + c * forward) - s * left, (y + s * forward) + c * left
        return self._index(origin[:, None, None], u.round().int(), v.round().int())

    def _look(self, cells: Tensor, index: Tensor) -> Tensor:
        return cells.flatten(1).gather(1, index.flatten(1)).view_as(index) & (IMAGINED - 1)

    def _raw(self, cells: Tensor, origin: Tensor, points: Tensor) -> Tensor:
        """As `read`, with the mark of what was imagined."""
        cell = (points / self.bev.metres_per_pixel).round().int()
        index, held = self._index(origin[:, None], *cell.unbind(-1))
        return torch.where(held, cells.flatten(1).gather(1, index), UNKNOWN)

    def _index(self, origin: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Flat index of plane cells (u, v) (...) in the torus, and whether the window holds them."""
        u0, v0 = origin.unbind(-1)
        # The size is a power of two: no bit above it is set in an offset within the window, negative ones included.
        held = ((u - u0) | (v - v0)) & -self.size == 0
        return ((u & self.size - 1) * self.size + (v & self.size - 1)).long(), held


def _direction(pose: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the heading of poses (B, 3)."""
    return torch.cos(pose[:, 2]), torch.sin(pose[:, 2])
