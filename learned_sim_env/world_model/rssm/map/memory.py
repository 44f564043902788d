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

from learned_sim_env.spec import NUM_STATIC_CLASSES, BevSpec
from learned_sim_env.world_model.geometry import points_from, rotate, sample_nearest, view_points
from learned_sim_env.world_model.rssm.line_pieces import CLASS, MIDDLE, PARTS, cells_of, classes

# What can be remembered: everything that stands still. Movers and the ego hide it.
UNKNOWN = NUM_STATIC_CLASSES
# Set on cells that were imagined rather than seen; see `line_pieces` for the other bits.
IMAGINED = 0x40
# [cells] The window follows the ego in steps of this size.
STRIDE = 8
# [pixels] Whenever something is missing in the view, this much more around it is imagined as well, so that nothing is
# missing for a while.
MARGIN = 8
# Rows whose views are read at a time: what they need stays in the processor's cache.
READ_ROWS = 64
# Rows for which road is imagined at a time, always as many, so that a row's road does not depend on how many others
# need some.
CHUNK = 8
# [cells] What is added before rounding down, so that a cell's middle is the middle of one of its parts.
_MIDDLE = (MIDDLE + 0.5) / PARTS


# From rows (N,) of a batch, ego-frame points (N, 2) [m] and how far the ego frames are turned in the grid (N,) [rad],
# to cells (N,) int16 around the points, UNKNOWN where nothing is known more exactly.
Exact = Callable[[Tensor, Tensor, Tensor], Tensor]


class MapMemory:
    """Reads and writes maps of `size` x `size` cells, (B, size, size) int16, with origins (B, 2) int32.

    The *view* is what the contract shows, (H, W); the *canvas* is the view with `MARGIN` pixels more on every side.
    """

    def __init__(self, bev: BevSpec, size: int):
        if size & (size - 1):
            raise ValueError(f"map size {size} is not a power of two")
        self.bev, self.size, self._bits = bev, size, size.bit_length() - 1
        # A place in the torus takes so many bits twice, see `_shares`. Half as wide numbers are twice as fast.
        self._narrow = torch.int16 if 2 * self._bits < 16 else torch.int32
        self.points = view_points(bev)

    def empty(self, batch_size: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """A map of which nothing is known, and its origin, with the anchor in the middle."""
        cells = torch.full((batch_size, self.size, self.size), UNKNOWN, dtype=torch.int16, device=device)
        return cells, torch.full((batch_size, 2), -self.size // 2, dtype=torch.int32, device=device)

    def read(
        self,
        cells: Tensor,
        origin: Tensor,
        points: Tensor,
        seen_only: bool = False,
        followed: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Class ids (B, N) uint8 at anchored `points` (B, N, 2) [m]; UNKNOWN where nothing is remembered.

        followed: a pose (B, 3) whose window is not left either, as if the map had followed it already, see `follow`.
        rows: (M,) int64, if only in some rows, or in some more than once: then points are (M, N, 2), and ids (M, N).
        """
        ids, held = self._raw(cells, origin, points, rows)
        known = held & ~(ids & IMAGINED).bool() if seen_only else held
        if followed is not None:
            window = self.window(followed)
            window = window if rows is None else window.index_select(0, rows)
            known &= self._index(window[:, None], *self._cell(points).unbind(-1))[1]
        return torch.where(known, ids & CLASS, UNKNOWN).to(torch.uint8)

    def read_canvas(self, cells: Tensor, origin: Tensor, pose: Tensor) -> Tensor:
        """What is remembered of the canvas around an anchored `pose` (B, 3): uint8."""
        u, v = (place >> self._bits for place in self._canvas_places(pose))
        index, held = self._index(origin[:, None, None], u, v)
        return torch.where(held, self._read(cells, index), UNKNOWN)

    def complete_view(
        self,
        cells: Tensor,
        origin: Tensor,
        pose: Tensor,
        imagine: Callable[[Tensor, Tensor], tuple[Tensor, Exact]],
        lay: Callable[[int, Tensor, Tensor], None] | None = None,
    ) -> Tensor:
        """The view (B, H, W) uint8 from `pose`, after what is not known of it was imagined and committed, in place.

        Args:
            cells, origin: a map whose window follows `pose`, so that it holds all of the view.
            pose: (B, 3).
            imagine: from rows (n,) int64 and what is remembered of their canvases, uint8, to the same with something
                known in place of UNKNOWN; and what is known more exactly than by the pixel.
            lay: if given, first of all: from a row, its map (size, size) and its origin (2,), to the same map, in
                place, with as much in place of UNKNOWN as is known without being imagined here.
        """
        view = self._read_subcell(cells, pose)
        blank = _blank(view)
        if lay is not None and len(blank):
            for row in blank.tolist():
                lay(row, cells[row], origin[row])
            view[blank] = self._read_subcell(cells[blank], pose[blank])
            blank = blank[_blank(view[blank])]
        for start in range(0, len(blank), CHUNK):
            some = blank[start : start + CHUNK]
            rows = torch.cat([some, some[-1:].expand(min(len(pose), CHUNK) - len(some))])
            mine, where, at = cells[rows], pose[rows], origin[rows]
            remembered = self.read_canvas(mine, at, where)
            canvas, exact = imagine(rows, remembered)
            before = mine.clone()
            self.commit(mine, at, where, canvas, remembered == UNKNOWN)
            self._redraw(mine, at, where, mine != before, exact)
            cells[rows] = mine
            # Read back, because two pixels of a turned view may share a cell: what is shown is what is remembered.
            view[rows] = self._read_subcell(mine, where)
        return view

    def follow(self, cells: Tensor, origin: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Move the window so that `pose` (B, 3) is near its middle; what falls out is forgotten. New map and origin."""
        wanted = self.window(pose)
        cells = cells.clone()
        moved = (wanted != origin).any(-1).nonzero()[:, 0]
        if len(moved):
            index = torch.arange(self.size, device=cells.device)
            old, new = origin[moved, :, None], wanted[moved, :, None]
            gone = old + (index - old) % self.size != new + (index - new) % self.size
            cells[moved] = cells[moved].masked_fill(gone[:, 0, :, None] | gone[:, 1, None, :], UNKNOWN)
        return cells, wanted

    def window(self, pose: Tensor) -> Tensor:
        """The origin (B, 2) int32 of the window that has followed a `pose` (B, 3)."""
        cell = pose[:, :2] / self.bev.metres_per_pixel
        return (cell / STRIDE).round().int() * STRIDE - self.size // 2

    def commit(self, cells: Tensor, origin: Tensor, pose: Tensor, ids: Tensor, new: Tensor) -> None:
        """Write canvas pixels `ids` uint8 where `new` to cells of which nothing is known, in place, as imagined."""
        row, pixel = new.flatten(1).nonzero(as_tuple=True)
        if not len(row):
            return
        u, v = (place.flatten(1)[row, pixel] for place in self._canvas_places(pose))
        values = ids.flatten(1)[row, pixel].short() | IMAGINED
        # A turned pixel grid leaves holes: the four cells around a pixel first, its nearest last.
        low_u, low_v = ((part - self.size // 2) >> self._bits for part in (u, v))
        u = torch.stack([low_u, low_u, low_u + 1, low_u + 1, u >> self._bits])
        v = torch.stack([low_v, low_v + 1, low_v, low_v + 1, v >> self._bits])
        index, held = self._index(origin[row], u, v)
        flat, index = cells.view(-1), index + row * self.size**2
        free = held & (flat[index] == UNKNOWN)
        for where, ok in zip(index, free):
            some = ok.nonzero()[:, 0]
            flat[where[some]] = values[some]

    def _redraw(self, cells: Tensor, origin: Tensor, pose: Tensor, fresh: Tensor, exact: Exact) -> None:
        """Replace what was committed to `fresh` cells by what is known exactly of their middles, in place."""
        row, u, v = fresh.nonzero(as_tuple=True)
        if not len(row):
            return
        held = origin[row]
        plane = held + ((torch.stack([u, v], -1) - held) & self.size - 1)
        ground = plane * self.bev.metres_per_pixel
        ids = exact(row, rotate(ground - pose[row, :2], -pose[row, 2]), pose[row, 2])
        known = (ids != UNKNOWN).nonzero()[:, 0]
        cells[row[known], u[known], v[known]] = ids[known] | IMAGINED

    def observe(
        self,
        cells: Tensor,
        origin: Tensor,
        pose: Tensor,
        semantic: Tensor,
        closely: bool = True,
        known: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """A new map anchored to `pose` (B, 3): `semantic` (B, H, W) uint8 seen there and, around it, the old map.

        Args:
            closely: whether to find out where within their cells lines run, which only a view that is drawn shows.
            known: (H, W) bool, where the view was seen; elsewhere it is a guess, which counts as imagined, and only
                where nothing is remembered that was seen.
        """
        b, m = len(pose), self.bev.metres_per_pixel
        fresh, new_origin = self.empty(b, cells.device)
        grid = self.cell_points(cells.device)
        places = points_from(grid, pose)
        old, held = self._raw(cells, origin, places)
        x, y = ((places / m + _MIDDLE).remainder(1) * PARTS).int().unbind(-1)
        old = torch.where(held, classes(old, x * PARTS + y, pose[:, 2]) | old & IMAGINED, UNKNOWN)
        index = self._index(new_origin[:, None], *self._grid(cells.device).expand(b, -1, -1).unbind(-1))[0]
        fresh = fresh.flatten(1).scatter(1, index, old)
        view = (self.points.to(cells.device) / m).round().int()[None].expand(b, -1, -1)
        index, _ = self._index(new_origin[:, None], *view.unbind(-1))
        ids = semantic.flatten(1)
        shown = cells_of(semantic).flatten(1) if closely else ids.short()
        before = fresh.gather(1, index)
        if known is not None:
            guess = ~known.flatten() & ((before == UNKNOWN) | (before & IMAGINED > 0))
            shown = torch.where(guess, shown | IMAGINED, torch.where(known.flatten(), shown, before))
        fresh.scatter_(1, index, torch.where(ids < NUM_STATIC_CLASSES, shown, before))
        return fresh.view(b, self.size, self.size), new_origin

    def known_until(self, cells: Tensor, distance: Tensor) -> Tensor:
        """A map as `observe` gives it, of which nothing is known farther ahead than `distance` (B,) [m]."""
        half = self.size // 2
        u = (torch.arange(self.size, device=cells.device) + half) % self.size - half
        return cells.masked_fill((u * self.bev.metres_per_pixel > distance[:, None])[..., None], UNKNOWN)

    def compose(self, views: Tensor, poses: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """The map that several views of the same ground add up to; later ones count where they overlap.

        Args:
            views: (B, T, H, W) uint8 classes below UNKNOWN.
            poses: (B, T, 3) they were seen from, in the frame of the anchor.
            known: (B, T) bool, whether a view is to be used.

        Returns:
            A map anchored there, and its origin.
        """
        b, t = poses.shape[:2]
        _, origin = self.empty(b, views.device)
        grid = self.cell_points(views.device).expand(b, -1, -1)
        ids = torch.full(grid.shape[:2], UNKNOWN, dtype=torch.uint8, device=views.device)
        for i in range(t):
            seen = rotate(grid - poses[:, i, None, :2], -poses[:, i, 2, None])
            shown, inside = sample_nearest(views[:, i], seen, self.bev)
            ids = torch.where(inside & known[:, i, None], shown, ids)
        index, _ = self._index(origin[:, None], *self._grid(views.device).expand(b, -1, -1).unbind(-1))
        cells = torch.zeros_like(ids, dtype=torch.int16).scatter_(1, index, ids.short())
        return cells.view(b, self.size, self.size), origin

    def cell_points(self, device: torch.device | str) -> Tensor:
        """(1, size * size, 2) [m] anchored places of the cells of a map with the anchor in the middle."""
        return self._grid(device) * self.bev.metres_per_pixel

    def _grid(self, device: torch.device | str) -> Tensor:
        u = torch.arange(self.size, device=device, dtype=torch.int32) - self.size // 2
        return torch.stack(torch.meshgrid(u, u, indexing="ij"), -1).reshape(1, -1, 2)

    def _shares(self, pose: Tensor, margin: int, middle: float = 0.5) -> list[Tensor]:
        """What rows of views with a margin add to where pixels lie, u and v (B, H, 1), and what columns do, u and v
        (B, 1, W): int32, in cells times `size`, rounding included.

        Whole numbers with as many binary places as a cell's index has bits: to add them up is far cheaper than to turn
        every pixel's place.
        """
        bev, one = self.bev, float(self.size)
        x, y = (pose[:, :2] / bev.metres_per_pixel).unbind(-1)
        x, y, c, s = (v[:, None, None] for v in (x + middle, y + middle, torch.cos(pose[:, 2]), torch.sin(pose[:, 2])))
        forward = bev.ego_row + margin - torch.arange(bev.height + 2 * margin, device=pose.device)[:, None]
        left = bev.ego_column + margin - torch.arange(bev.width + 2 * margin, device=pose.device)
        rows = [((start + turn * forward) * one).round().int() for start, turn in ((x, c), (y, s))]
        columns = [(turn * left * one).round().int() for turn in (-s, c)]
        return rows + columns

    def _canvas_places(self, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Where the pixels of the canvas lie, u and v (B, H, W) int32, in cells times `size`, rounding included."""
        u_row, v_row, u, v = self._shares(pose, MARGIN)
        return u_row + u, v_row + v

    def _read_subcell(self, cells: Tensor, pose: Tensor) -> Tensor:
        """Class ids (B, H, W) uint8 of views from `pose` (B, 3) that the windows hold."""
        # Of a place in the torus all that counts are the bits of a cell's index and those that were added to it.
        shares = [share.to(self._narrow) for share in self._shares(pose, 0, _MIDDLE)]
        ids = [self._seen(*some) for some in zip(*(v.split(READ_ROWS) for v in (cells, pose[:, 2], *shares)))]
        return torch.cat(ids)

    def _seen(self, cells: Tensor, turned: Tensor, u_row: Tensor, v_row: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """As `_read_subcell`, of few rows, from what rows and columns add."""
        u, v = u_row + u, v_row + v
        # The bits of u stand already where the index wants them. One that goes through all maps need not be of 64 bits.
        cell = (u & self.size - 1 << self._bits) | ((v >> self._bits) & self.size - 1)
        start = torch.arange(len(cells), dtype=torch.int32, device=cells.device)[:, None, None] << 2 * self._bits
        found = cells.flatten().index_select(0, (cell.int() | start).flatten()).view_as(cell)
        less = self._bits - PARTS.bit_length() + 1
        part = (u >> less & PARTS - 1) * PARTS | v >> less & PARTS - 1
        return classes(found, part, turned)

    def _read(self, cells: Tensor, index: Tensor) -> Tensor:
        return (cells.flatten(1).gather(1, index.flatten(1)).view_as(index) & CLASS).to(torch.uint8)

    def _raw(self, cells: Tensor, origin: Tensor, points: Tensor, rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As `read`, with the mark of what was imagined, and which of it means something."""
        if rows is None:
            index, held = self._index(origin[:, None], *self._cell(points).unbind(-1))
            return cells.flatten(1).gather(1, index), held
        index, held = self._index(origin.index_select(0, rows)[:, None], *self._cell(points).unbind(-1))
        index = index + rows[:, None] * self.size**2
        return cells.flatten().index_select(0, index.flatten()).view_as(index), held

    def _cell(self, points: Tensor) -> Tensor:
        """Plane cells (B, N, 2) int32 of anchored points [m]."""
        return (points * (1 / self.bev.metres_per_pixel)).round().int()

    def _index(self, origin: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Flat index of plane cells (u, v) (...) in the torus, and whether the window holds them."""
        u0, v0 = origin.unbind(-1)
        # The size is a power of two: no bit above it is set in an offset within the window, negative ones included. It
        # takes a CPU a third of the time of a comparison.
        held = ~(((u - u0) | (v - v0)) & -self.size).bool()
        return ((u & self.size - 1) * self.size + (v & self.size - 1)).long(), held


def _blank(view: Tensor) -> Tensor:
    """The numbers (n,) of views (B, H, W) uint8 in which something is UNKNOWN."""
    # It is the largest class of all; a CPU finds the largest forty times as fast as whether any is UNKNOWN.
    return (view.flatten(1).amax(1) == UNKNOWN).nonzero()[:, 0]
