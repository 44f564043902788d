"""Loss of what is found in pictures of scenery and obstacles, of which only what is seen has to be found."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.spec import SceneryKind
from learned_sim_env.training.rssm.camera.sightings import Squares, Things, sightings
from learned_sim_env.world_model.geometry import wrap
from learned_sim_env.world_model.rssm.camera.perception.scenery_finder import (
    KINDS,
    MOVER,
    OBSTACLE,
    RANGE,
    SceneryFinder,
)

# Something of which less than this share is seen, or that is narrower than so many pixels, is neither right nor wrong.
SEEN_SHARE, SEEN_WIDTH = 0.3, 0.15
# [m] Thin things farther away are not drawn at all.
THIN, THIN_REACH = 1.0, 45.0
# Exponents of the focal loss (CenterNet, arXiv 1904.07850, equation 1).
ALPHA, BETA = 2, 4
# How much the middle of a thing counts that covers so many squares, and obstacles, which are few and small.
COMMON_AREA, LEAST, MOST, OBSTACLE_WEIGHT = 12.0, 0.4, 2.0, 4.0
# Squares as near as this to a middle may be taken for it.
NEXT = 0.45


class _Middles(NamedTuple):
    """P things that have to be found, each in one picture.

    picture, square: (P,) int64. kind: (P,) int64. size: (P, 3), heading, distance, bearing, weight: (P,) float32.
    near: (P, h * w) how near a square is to that of the middle of what is seen, 1 there.
    """

    picture: Tensor
    square: Tensor
    kind: Tensor
    size: Tensor
    heading: Tensor
    distance: Tensor
    bearing: Tensor
    weight: Tensor
    near: Tensor


def scenery_loss(finder: SceneryFinder, outputs: Tensor, things: Things, squares: Squares) -> dict[str, Tensor]:
    """Losses of outputs (B, C, channels, h, w): "things", whether they are found, and "places", where and how large."""
    told = outputs.flatten(0, 1).flatten(2)
    middles, counts = _middles(things, squares, len(told))
    return {
        "things": _found_loss(told[:, :KINDS], middles, counts),
        "places": _places_loss(told[:, KINDS:], middles, squares, finder.common_sizes),
    }


def _middles(things: Things, squares: Squares, pictures: int) -> tuple[_Middles, Tensor]:
    """What has to be found, and where it counts (pictures, KINDS, h * w) bool that something is found."""
    height, width = squares.shape
    found = sightings(things, squares)
    kind, size = (value[found.row, found.thing] for value in (things.kind, things.size))
    area = found.mask.sum(1)
    pixels = size[:, 1] / found.distance * 2 / squares.square
    drawn = (area > 0) & ((found.distance < THIN_REACH) | (size[:, 1] > THIN))
    sure = drawn & (found.share >= SEEN_SHARE) & (pixels > SEEN_WIDTH)
    counts = torch.ones(pictures * KINDS, height * width, dtype=torch.bool, device=area.device)
    doubtful = drawn & ~sure
    thing, at = found.mask[doubtful].nonzero(as_tuple=True)
    counts[(found.picture * KINDS + kind - 1)[doubtful][thing], at] = False

    picture, row, thing, mask, _, distance, bearing = (value[sure] for value in found)
    kind, size, area = kind[sure], size[sure], area[sure].float()
    steps = (torch.arange(n, device=area.device, dtype=torch.float32) for n in (height, width))
    rows, columns = (v.flatten() for v in torch.meshgrid(*steps, indexing="ij"))
    r, c = (((mask * v).sum(1) / area).round() for v in (rows, columns))
    # The middle of a pole is anywhere along it, its foot is not.
    r = torch.where(size[:, 1] < THIN, (mask * rows).amax(1), r)
    spread = (0.12 * area.sqrt()).clamp(0.6, 1.6)
    apart = (rows - r[:, None]) ** 2 + (columns - c[:, None]) ** 2
    near = (-apart / (2 * spread[:, None] ** 2)).exp()
    weight = (area / COMMON_AREA).sqrt().clamp(LEAST, MOST)
    weight = torch.where(kind == OBSTACLE, OBSTACLE_WEIGHT, weight)
    square, heading = (r * width + c).long(), things.pose[row, thing, 2]
    return (
        _Middles(picture, square, kind, size, heading, distance, bearing, weight, near),
        counts.view(pictures, KINDS, -1),
    )


def _found_loss(logits: Tensor, middles: _Middles, counts: Tensor) -> Tensor:
    """Focal loss of logits (N, KINDS, h * w), softer around middles."""
    heat, positive = logits.new_zeros(logits.shape), logits.new_zeros(logits.shape)
    at = (middles.picture * KINDS + middles.kind - 1)[:, None].expand_as(middles.near)
    heat.view(-1, heat.shape[2]).scatter_reduce_(0, at, middles.near, "amax")
    positive[middles.picture, middles.kind - 1, middles.square] = middles.weight
    p = logits.sigmoid()
    hit = positive * (1 - p) ** ALPHA * F.softplus(-logits)
    miss = (positive == 0) * counts * (1 - heat) ** BETA * p**ALPHA * F.softplus(logits)
    return (hit + miss).sum() / positive.sum().clamp_min(1)


def _places_loss(told: Tensor, middles: _Middles, squares: Squares, common_sizes: Tensor) -> Tensor:
    """Loss of what is regressed (N, REGRESSED, h * w), in the squares next to middles as well.

    Lengths and headings count only where they can be seen.
    """
    which, at = (middles.near > NEXT).nonzero(as_tuple=True)
    picture, _, kind, size, heading, distance, bearing, weight, near = (value[which] for value in middles)
    here = told[picture, :, at]
    offset = wrap(bearing - squares.bearing[picture % len(squares.origin), at]) / squares.square
    share = (size / common_sizes[kind].clamp_min(1e-3)).clamp_min(1e-2).log()
    turn = heading - bearing
    turns = turn.cos(), turn.sin(), (2 * turn).cos(), (2 * turn).sin()
    wanted = torch.stack([offset, (distance / RANGE).log(), *share.unbind(1), *turns], 1)
    building = (kind == SceneryKind.HOUSE) | (kind == SceneryKind.BLOCK)
    once, twice = 0.5 * ((kind == SceneryKind.LAMP) | (kind == MOVER)), 0.5 * (building | (kind >= OBSTACLE))
    one = torch.ones_like(weight)
    matters = torch.stack([0.3 * one, 2 * one, twice, one, one, once, once, twice, twice], 1)
    weight = weight * near.gather(1, at[:, None])[:, 0]
    error = F.smooth_l1_loss(here, wanted, reduction="none", beta=0.1)
    return (error * matters * weight[:, None]).sum() / weight.sum().clamp_min(1)
