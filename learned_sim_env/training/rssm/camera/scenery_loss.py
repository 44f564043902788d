"""Loss of what is found in pictures of scenery and obstacles, of which only what is seen has to be found."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.spec import SceneryKind
from learned_sim_env.training.rssm.camera.sightings import Squares, Things, sightings
from learned_sim_env.world_model.geometry import wrap
from learned_sim_env.world_model.rssm.camera.scenery_finder import BUILDINGS, KINDS, OBSTACLE, RANGE, SceneryFinder

# Something of which less than this share is seen, or that is narrower than so many pixels, is neither right nor wrong.
SEEN_SHARE, SEEN_WIDTH = 0.3, 0.15
# [m] Thin things farther away are not drawn at all.
THIN, THIN_REACH = 1.0, 45.0
# Exponents of the focal loss (CenterNet, arXiv 1904.07850, equation 1).
ALPHA, BETA = 2, 4
# How much the middle of a thing counts that covers so many squares, and obstacles, which are few and small.
COMMON_AREA, LEAST, MOST, OBSTACLE_WEIGHT = 12.0, 0.4, 2.0, 4.0


def scenery_loss(finder: SceneryFinder, outputs: Tensor, things: Things, squares: Squares) -> dict[str, Tensor]:
    """Losses of outputs (B, C, channels, h, w): "things", whether they are found, and "places", where and how large."""
    height, width = squares.shape
    told = outputs.flatten(0, 1).flatten(2)
    found = sightings(things, squares)
    kind = things.kind[found.row, found.thing]
    area = found.mask.sum(1)
    size = things.size[found.row, found.thing]
    pixels = size[:, 1] / found.distance * 2 / squares.square
    target = (kind <= OBSTACLE) & (area > 0) & ((found.distance < THIN_REACH) | (size[:, 1] > THIN))
    sure = target & (found.share >= SEEN_SHARE) & (pixels > SEEN_WIDTH)
    doubtful = (target & ~sure).nonzero()[:, 0]
    picture, row, thing, mask, _, distance, bearing = (value[sure] for value in found)
    kind, size, area = kind[sure], size[sure], area[sure].float()

    # The square nearest to the middle of what is seen.
    rows, columns = (v.flatten().float() for v in torch.meshgrid(
        torch.arange(height, device=told.device), torch.arange(width, device=told.device), indexing="ij"
    ))  # fmt: skip
    r, c = ((mask * v).sum(1) / area for v in (rows, columns))
    square = r.round().long() * width + c.round().long()
    spread = (0.12 * area.sqrt()).clamp(0.6, 1.6)
    apart = (rows - r.round()[:, None]) ** 2 + (columns - c.round()[:, None]) ** 2
    near = (-apart / (2 * spread[:, None] ** 2)).exp()
    heat = torch.zeros(len(told), KINDS, height * width, device=told.device)
    heat.view(-1, height * width).scatter_reduce_(
        0, (picture * KINDS + kind - 1)[:, None].expand(-1, height * width), near, "amax"
    )
    counts = torch.ones_like(heat)
    ignored = (found.picture * KINDS + things.kind[found.row, found.thing] - 1)[doubtful]
    for index, squares_of in zip(ignored.tolist(), found.mask[doubtful], strict=True):
        counts.view(-1, height * width)[index, squares_of] = 0
    positive = torch.zeros_like(heat)
    weight = (area / COMMON_AREA).sqrt().clamp(LEAST, MOST)
    weight = torch.where(kind == OBSTACLE, OBSTACLE_WEIGHT, weight)
    positive[picture, kind - 1, square] = weight
    logits = told[:, :KINDS]
    p = logits.sigmoid()
    hit = positive * (1 - p) ** ALPHA * F.softplus(-logits)
    miss = (positive == 0) * counts * (1 - heat) ** BETA * p**ALPHA * F.softplus(logits)
    things_loss = (hit + miss).sum() / positive.sum().clamp_min(1)

    # What is regressed is so in the squares next to the middle as well, from where it may be found.
    which, at = (near > 0.45).nonzero(as_tuple=True)
    camera = picture % len(squares.origin)
    kind, size, distance, weight = kind[which], size[which], distance[which], weight[which]
    here = told[picture[which], KINDS:, at]
    offset = wrap(bearing[which] - squares.bearing[camera[which], at]) / squares.square
    share = (size / finder.common_sizes[kind].clamp_min(1e-3)).clamp_min(1e-2).log()
    heading = things.pose[row, thing, 2][which] - bearing[which]
    wanted = torch.stack(
        [offset, (distance / RANGE).log(), *share.unbind(1), heading.cos(), heading.sin(), (2 * heading).cos(),
         (2 * heading).sin()], 1
    )  # fmt: skip
    error = F.smooth_l1_loss(here, wanted, reduction="none", beta=0.1)
    building = torch.isin(kind, torch.tensor(BUILDINGS, device=kind.device))
    lamp, obstacle = kind == SceneryKind.LAMP, kind == OBSTACLE
    ones = torch.ones_like(weight)
    matters = torch.stack(
        [0.3 * ones, 2.0 * ones, (building | obstacle) * 0.5, ones, ones, lamp * 0.5, lamp * 0.5,
         (building | obstacle) * 0.5, (building | obstacle) * 0.5], 1
    )  # fmt: skip
    weight = weight * near[which, at]
    places = (error * matters * weight[:, None]).sum() / weight.sum().clamp_min(1)
    return {"things": things_loss, "places": places}
