"""How the road would look if it simply went on along the route: its cross-section, swept.

The cross-section is read off what is remembered, where the route leaves it: what lies under the road's markings, and
which markings there are, in steps of a pixel across the route. It is a proposal: the map decoder may follow it or not.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.scene import Line
from learned_sim_env.spec import BevSpec, SemanticClass
from learned_sim_env.world_model.geometry import place, product, turn
from learned_sim_env.world_model.rssm.line_pieces import FARTHEST, beside_line, is_line
from learned_sim_env.world_model.rssm.map.memory import MARGIN, UNKNOWN
from learned_sim_env.world_model.rssm.route.path import Beside, swath

# Bins across the route, the middle one on it; and places along it [m] at which sections are looked for.
BINS = 45
ALONG = tuple(1.5 * i for i in range(-6, 27))
# Of what is known at a place across the route, the last so many sections count.
RECENT = 8
# Of those, a solid line shows in so many at least.
SOLID = 3
# [1/m] Waves as long as a dash and a gap; they are higher than this on a dash.
_WAVE = 2 * math.pi / Line.period
_DASH = math.cos(_WAVE * Line.dash / 2)


class CrossSection(NamedTuple):
    """Of B roads. profile: (B, 2, BINS + 2) uint8 across the road, left last: on dashes, and between them; UNKNOWN
    where nothing is known, and in the outermost two. aside: (B, BINS + 2) [m] by which the markings in a bin lie left
    of its middle. phase: (B,) [rad] of the waves on whose crests dashes lie.
    """

    profile: Tensor
    aside: Tensor
    phase: Tensor


def read_section(canvas: Tensor, route: Tensor, bev: BevSpec) -> CrossSection:
    """The cross-section where what is known of canvases (B, H, W) uint8 ends, along routes in the ego frame."""
    arcs = torch.tensor(ALONG, device=route.device)
    across = (torch.arange(BINS, device=route.device) - BINS // 2) * bev.metres_per_pixel
    middle, heading, points = swath(route, arcs, across)
    row, column = (x.round().long() + MARGIN for x in bev.pixels(torch.view_as_real(points)))
    height, width = canvas.shape[1:]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    flat = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    ids = torch.where(inside, canvas.flatten(1).gather(1, flat.flatten(1)).view_as(flat), UNKNOWN)
    known = ids != UNKNOWN
    recent = known & (known.flip(1).cumsum(1).flip(1) <= RECENT)
    ids = torch.where(recent, ids, UNKNOWN)
    # The first of equal counts wins: where nothing but markings shows, they are on a road.
    surfaces = torch.tensor([SemanticClass.ROAD, SemanticClass.OFF_ROAD, SemanticClass.ROUTE], device=ids.device)
    surface = surfaces[(ids[..., None] == surfaces).sum(1).argmax(-1)]
    surface = torch.where(recent.any(1), surface, UNKNOWN)
    broken, solid = ((ids == c) for c in (SemanticClass.BROKEN_LINE, SemanticClass.SOLID_LINE))
    between = torch.where(_peaks(solid.sum(1), SOLID), int(SemanticClass.SOLID_LINE), surface)
    dashed = _peaks(broken.sum(1), 1) & (between != SemanticClass.SOLID_LINE)
    profile = torch.stack([torch.where(dashed, int(SemanticClass.BROKEN_LINE), between), between], 1)
    crest = (broken.sum(2) * turn(_WAVE * arcs)).sum(1)
    # Where the pixels of a marking truly lie, those included that fell into the bins beside its own.
    centre = place(
        torch.stack([bev.ego_row + MARGIN - row, bev.ego_column + MARGIN - column], -1) * bev.metres_per_pixel
    )
    lies = product(centre - middle[..., None], turn(heading)[..., None].conj()).imag
    marked = is_line(ids)
    total, count = _with_neighbours((marked * lies).sum(1)), _with_neighbours(marked.sum(1))
    aside = torch.where(count > 0, total / count.clamp_min(1) - across, 0.0)
    padded = F.pad(profile.to(torch.uint8), (1, 1), value=UNKNOWN)
    return CrossSection(padded, F.pad(aside, (1, 1)), crest.angle())


def sweep(section: CrossSection, beside: Beside, bev: BevSpec, patch: int) -> Tensor:
    """The section drawn along the route: (B, tokens, patch * patch) uint8 of patches whose middles lie `beside` it."""
    m = bev.metres_per_pixel
    inside = (patch - 1) / 2 - torch.arange(patch, device=beside.across.device)
    x, y = (m * inside).repeat_interleave(patch), (m * inside).repeat(patch)
    c, s = beside.heading.cos()[..., None], beside.heading.sin()[..., None]
    bins = ((beside.across[..., None] + c * y - s * x) / m + (BINS // 2 + 1)).round().clamp(0, BINS + 1)
    wave = _WAVE * (beside.arc[..., None] + c * x + s * y) - section.phase[:, None, None]
    index = bins + (BINS + 2) * (wave.cos() < _DASH)
    return section.profile.flatten(1).gather(1, index.flatten(1).long()).view_as(index)


def markings_at(section: CrossSection, rows: Tensor, beside: Beside, heading: Tensor, bev: BevSpec) -> Tensor:
    """What the section shows in the cells of a grid around places: (N,) int16, as `line_pieces` tells it.

    Args:
        section: of B roads.
        rows: (N,) int64, whose road.
        beside: where the places are by it, all (N,).
        heading: (N,) [rad] of the road in the frame of the grid that the places are the points of.
    """
    m = bev.metres_per_pixel
    bins = (beside.across / m + (BINS // 2 + 1)).round().clamp(1, BINS).long()
    between = ((_WAVE * beside.arc - section.phase[rows]).cos() < _DASH).long()
    rows, near = rows[:, None], bins[:, None] + torch.tensor([-1, 0, 1], device=bins.device)
    classes = section.profile[rows, between[:, None], near]
    off = beside.across[:, None] - (near - (BINS // 2 + 1)) * m - section.aside[rows, near]
    marked = is_line(classes)
    # What a line is drawn on goes on at its side.
    surface = torch.where(marked[:, 1], torch.where(off[:, 1] > 0, classes[:, 2], classes[:, 0]), classes[:, 1])
    nearest = torch.where(marked, off.abs(), torch.inf).argmin(1, keepdim=True)
    line, off = classes.gather(1, nearest)[:, 0], off.gather(1, nearest)[:, 0]
    distance = -off / m / torch.maximum(heading.cos().abs(), heading.sin().abs())
    # A line at the border of what is known would be drawn on nothing.
    passes = marked.any(1) & (distance.abs() < FARTHEST) & (surface != UNKNOWN)
    return torch.where(passes, beside_line(line, surface, heading + torch.pi / 2, distance), surface.short())


def _with_neighbours(values: Tensor) -> Tensor:
    """(B, N), each with what stands beside it added."""
    padded = F.pad(values, (1, 1))
    return values + padded[:, 2:] + padded[:, :-2]


def _peaks(counts: Tensor, least: int) -> Tensor:
    """Which of counts (B, N) are at least `least` and no less than their neighbours: a line is one bin wide."""
    before, after = counts.roll(1, 1), counts.roll(-1, 1)
    return (counts >= least) & (counts >= before) & (counts > after)
