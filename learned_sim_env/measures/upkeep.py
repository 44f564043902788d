"""Whether pictures stay what they were: the colours of what they show, their contrast and their detail."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from learned_sim_env.measures.bootstrap import ratio
from learned_sim_env.measures.frame_features import brightness, gradients
from learned_sim_env.spec import BevSpec, CameraSpec, SemanticClass

# What a pixel looks at, as far as the ray and a view from above say; what stands in between is not told of.
REGIONS = ("above the horizon", "road", "beside the road")
ELSEWHERE = 255
_ROAD = (SemanticClass.ROAD, SemanticClass.ROUTE)
# Side of the window [pixels] whose standard deviation is the contrast.
WINDOW = 7


def regions(views: np.ndarray, bev: BevSpec, camera: CameraSpec) -> np.ndarray:
    """(N, H, W) uint8 index of `REGIONS` of a camera's pixels, from views from above (N, h, w) uint8 of the moments.

    `ELSEWHERE` is what lies outside the view, is a marking, or is something that stands or moves on the ground.
    """
    rows, columns = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    rays = camera.rays(rows, columns)
    ground = rays[..., 2] < 0
    reach = np.where(ground, camera.position[2] / np.maximum(-rays[..., 2], 1e-9), 0.0)
    row, column = (
        np.rint(x).astype(np.int64)
        for x in bev.pixels(np.array(camera.position[:2]) + rays[..., :2] * reach[..., None])
    )
    inside = ground & (row >= 0) & (row < bev.height) & (column >= 0) & (column < bev.width)
    seen = views[:, np.where(inside, row, 0), np.where(inside, column, 0)]
    found = np.full(seen.shape, ELSEWHERE, np.uint8)
    found[inside & np.isin(seen, _ROAD)] = REGIONS.index("road")
    found[inside & (seen == SemanticClass.OFF_ROAD)] = REGIONS.index("beside the road")
    found[:, ~ground] = REGIONS.index("above the horizon")
    return found


def region_colours(frames: np.ndarray, where: np.ndarray) -> np.ndarray:
    """(N, 3, 3) float64 [levels of 255]: mean colour of each of `REGIONS` in frames (N, H, W, 3) uint8.

    It cannot show whether shapes are right: a picture that is a plain mean colour keeps it. NaN where a region has no
    pixel.

    where: (N, H, W), see `regions`.
    """
    masks = (where[..., None] == np.arange(len(REGIONS))).astype(np.float64)
    total = np.einsum("nhwr,nhwc->nrc", masks, frames.astype(np.float64))
    return ratio(total, np.broadcast_to(masks.sum((1, 2))[..., None], total.shape))


def contrast(frames: np.ndarray) -> np.ndarray:
    """(N,) float64 [levels of 255]: standard deviation of brightness in windows of 7 by 7 pixels, averaged.

    It cannot show what the contrast is of: noise has it too. frames: (N, H, W, 3) uint8.
    """
    grey = _grey(frames)
    mean = F.avg_pool2d(grey, WINDOW, stride=1)
    spread = (F.avg_pool2d(grey * grey, WINDOW, stride=1) - mean**2).clamp_min(0).sqrt()
    return 255 * spread.mean((1, 2, 3)).numpy()


def detail(frames: np.ndarray) -> np.ndarray:
    """(N,) float64 [levels of 255]: how much neighbouring pixels differ, averaged; the energy of gradients.

    A blur lowers it before it lowers the contrast; noise lifts it. frames: (N, H, W, 3) uint8.
    """
    return 255 * torch.hypot(*gradients(_grey(frames))).mean((1, 2, 3)).numpy()


def _grey(frames: np.ndarray) -> torch.Tensor:
    return brightness(torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).double() / 255)
