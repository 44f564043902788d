"""Where within its cell a line runs, told from the pixels around it.

A view whose pixels are three quarters of a metre shows a line as a chain of pixels, one in each row or column that it
crosses. Moved by its nearest pixels such a chain frays, although the line's place is known better than that: over a few
pixels it is straight. So every cell on a line or beside one remembers how that line passes through it, and what is on
its other side; from elsewhere it is drawn by where in the cell a pixel falls.

A cell is an int16: the class at its middle in the bits below `OTHER_AT`, in the three bits from there the other class
that it holds, and from `PIECE_AT` on the piece of a line that parts them, 0 if it is all of a kind. The bit before that
is `map.memory`'s.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.spec import SemanticClass

SURFACES = (SemanticClass.OFF_ROAD, SemanticClass.ROAD, SemanticClass.ROUTE)
# A piece is told by the direction of its normal, in parts of half a turn, and by how far beside the middle it passes,
# along the axis that it crosses more steeply [STEP pixels]. A pixel is a whole number of steps: neighbours agree on it.
DIRECTIONS, DISTANCES, STEP = 16, 32, 0.1
# Of those distances, this many on either side are within the pixel in which the line shows.
WITHIN = round(0.5 / STEP)
# [pixels] Half of a line's width along the axis of a view that it crosses more steeply: a little more than the half
# that a chain of pixels is wide, so that where neighbours do not quite agree there is hardly ever a gap.
HALF_WIDTH = 0.55
# Views are told apart by how they are turned, in parts of a quarter turn: their axes are others.
TURNS = 8
# [pixels] A line that passes farther than this along that axis is not in a cell.
FARTHEST = DISTANCES / 2 * STEP
# Places within a cell that are told apart along each axis, and the one at its middle.
PARTS, MIDDLE = 16, 7
# A piece is fitted to the pixels of its kind up to this far away, weighted by a Gaussian [pixels]; at least so many,
# so much farther apart along it, and less far apart across it [pixels^2].
REACH, SIGMA, FEWEST, ALONG, ACROSS = 3, 1.5, 1.5, 0.4, 0.3
# Weights are multiples of one over this.
EXACT = 1 << 16
OTHER_AT, PIECE_AT = 3, 7
CLASS = (1 << OTHER_AT) - 1


def cells_of(ids: Tensor) -> Tensor:
    """What cells remember of a view (B, H, W) uint8, anchored to its pixels: (B, H, W) int16, rows of the plane being
    the view's from its last to its first, and so columns.
    """
    ids = ids.contiguous()
    h, w = ids.shape[1:]
    cells = ids.short()
    row, pixel = is_line(ids).flatten(1).nonzero(as_tuple=True)
    if not len(row):
        return cells
    # A margin to look beyond, of which nothing is a line.
    padded = F.pad(ids, [REACH] * 4, value=SemanticClass.OFF_ROAD)
    width = w + 2 * REACH
    middle = row * (padded.shape[1] * width) + (pixel // w + REACH) * width + pixel % w + REACH
    dx, dy, kernels = _window(ids.device)
    around = padded.flatten()[middle[:, None] - (dx * width + dy).long()]
    line = around[:, len(dx) // 2]
    straight, normal, distance = _fit((around == line[:, None]).float() @ kernels)
    surface = torch.stack([(around == kind).float() @ kernels[:, 0] for kind in SURFACES], 1).argmax(1).to(torch.uint8)

    flat, at = cells.view(-1), row * (h * w) + pixel
    # The line passes through the middle of the pixel where it shows, and beside it where it doesn't.
    within, without = (WITHIN - 0.5) * STEP, (WITHIN + 0.5) * STEP
    flat[at[straight]] = beside_line(line, surface, normal, distance.clamp(-within, within))[straight]
    nx, ny = _normal(normal)
    steep = nx.abs() > ny.abs()
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        r, c = pixel // w - x, pixel % w - y
        near = straight & (steep == bool(x)) & (r >= 0) & (r < h) & (c >= 0) & (c < w)
        there = torch.where(near, at - x * w - y, 0)
        surface, away = ids.flatten()[there], distance - nx * x - ny * y
        near &= (surface <= SemanticClass.ROUTE) & (away.abs() < FARTHEST)
        away = torch.where(away < 0, away.clamp_max(-without), away.clamp_min(without))
        flat[there[near]] = beside_line(line, surface, normal, away)[near]
    return cells


def is_line(ids: Tensor) -> Tensor:
    """Where class ids are those of a marking: bool."""
    return (ids >= int(SemanticClass.BROKEN_LINE)) & (ids <= int(SemanticClass.SOLID_LINE))


def beside_line(line: Tensor, surface: Tensor, normal: Tensor, distance: Tensor) -> Tensor:
    """Cells (N,) int16 through which a `line` (N,) uint8 passes over a `surface` (N,) uint8.

    Args:
        normal: (N,) [rad] across the line, in the plane of the cells.
        distance: (N,) [pixels] from a cell's middle to the line, along the axis that it crosses more steeply.
    """
    direction = (normal * (DIRECTIONS / torch.pi)).round().int()
    distance = torch.where(direction % (2 * DIRECTIONS) < DIRECTIONS, distance, -distance)
    level = (distance / STEP + (DISTANCES - 1) / 2).round().int().clamp(1, DISTANCES - 1)
    on = (level >= DISTANCES // 2 - WITHIN) & (level < DISTANCES // 2 + WITHIN)
    inner, outer = torch.where(on, line, surface), torch.where(on, surface, line)
    piece = direction % DIRECTIONS * DISTANCES + level
    return (piece << PIECE_AT | outer.int() << OTHER_AT | inner.int()).short()


def classes(cells: Tensor, part: Tensor, turned: Tensor) -> Tensor:
    """Class ids (B, ...) uint8 of `cells` (B, ...) int16, as pixels of views show them.

    Args:
        part: (B, ...) int16 or int32, the parts of the cells that the pixels lie in: x * PARTS + y, both from 0 up to
            `PARTS`.
        turned: (B,) [rad] how far the views are turned in the plane of the cells.
    """
    view = (turned * (TURNS * 2 / torch.pi)).round().int() % TURNS * len(_sides(cells.device)[0])
    # In place, because every view drawn goes through here.
    piece = cells.int().bitwise_and_(-1 << PIECE_AT & 0xFFFF)
    index = piece.mul_(PARTS**2 >> PIECE_AT).bitwise_or_(part).add_(view.view(-1, *[1] * (cells.ndim - 1)))
    shift = _sides(cells.device).view(-1).index_select(0, index.flatten()).view_as(cells)
    return (cells >> shift).bitwise_and_(CLASS).to(torch.uint8)


def _fit(moments: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Whether the pixels with `moments` (N, 6) lie on a line; its normal (N,) [rad], and how far from the middle of
    the pixel it passes, as pieces are told.
    """
    n, x, y, xx, xy, yy = moments.unbind(1)
    x, y = x / n, y / n
    xx, xy, yy = xx / n - x * x, xy / n - x * y, yy / n - y * y
    middle, spread = (xx + yy) / 2, torch.hypot((xx - yy) / 2, xy)
    straight = (n >= FEWEST) & (middle + spread > ALONG) & (middle - spread < ACROSS)
    normal = torch.atan2(2 * xy, xx - yy) / 2 + torch.pi / 2
    nx, ny = _normal(normal)
    return straight, normal, nx * x + ny * y


def _normal(angle: Tensor) -> tuple[Tensor, Tensor]:
    """Normals, as long as makes the larger part 1: distances along them are along the axis more steeply crossed."""
    most = _most(angle)
    return torch.cos(angle) / most, torch.sin(angle) / most


def _most(angle: Tensor) -> Tensor:
    """The larger one of |cos| and |sin|."""
    return torch.maximum(angle.cos().abs(), angle.sin().abs())


@functools.cache
def _window(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Where the pixels around one lie (N,) twice [pixels], and weights (N, 6) that sum 1, x, y, xx, xy, yy of them."""
    with torch.inference_mode(False):
        side = torch.arange(-REACH, REACH + 1.0, device=device)
        x, y = torch.cartesian_prod(side, side).unbind(1)
        weight = torch.exp(-(x * x + y * y) / (2 * SIGMA**2))
        # As fractions that float32 adds up exactly, in whatever order a CPU does so.
        weight = (weight * EXACT).round() / EXACT
        return x, y, torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y], 1) * weight[:, None]


@functools.cache
def _sides(device: torch.device) -> Tensor:
    """By how much to shift a cell to find the class of a part of it: (TURNS, every piece and part) uint8."""
    with torch.inference_mode(False):
        angle = torch.arange(DIRECTIONS, device=device) * (torch.pi / DIRECTIONS)
        nx, ny = _normal(angle)
        distance = (torch.arange(DISTANCES, device=device) - (DISTANCES - 1) / 2) * STEP
        part = (torch.arange(PARTS, device=device) - MIDDLE) / PARTS
        away = nx[:, None, None] * part[:, None] + ny[:, None, None] * part
        away = (away[:, None] - distance[:, None, None]).abs()
        # How wide a line is follows from the axes of the view, where it is then from those of the cells.
        seen = angle - torch.arange(TURNS, device=device)[:, None] * (torch.pi / 2 / TURNS)
        half = HALF_WIDTH * _most(seen) / _most(angle)
        at_middle = (distance.abs() < WITHIN * STEP)[:, None, None]
        shift = torch.where((away < half[..., None, None, None]) != at_middle, OTHER_AT, 0).to(torch.uint8)
        shift[:, 0, 0] = 0
        return shift.flatten(1)
