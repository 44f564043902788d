"""Camera frames as few numbers that can be explained, for the Frechet distance of sets of them.

Features of networks trained on photographs would have to be downloaded, and see in pictures of 64 by 96 pixels little
but their size. What is counted here instead is what a reader would name: which colours are where (means over cells),
and how much detail of which size and direction (gradients at three scales, as of Dalal and Triggs 2005, "Histograms of
oriented gradients"). Detail is taken as logarithms, so that a blur shifts it by as much in the night as by day.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

# Cells along the height and the width of a frame; scales, each half of the one before; directions of gradients.
ROWS, COLUMNS, SCALES, DIRECTIONS = 4, 3, 3, 4
# [1] Gradients below this are rounding of colours to 255 levels.
FAINT = 1e-3
# Weights of red, green and blue in brightness (ITU-R BT.601).
BRIGHTNESS = (0.299, 0.587, 0.114)
FEATURES = ROWS * COLUMNS * (3 + SCALES) + ROWS * SCALES * DIRECTIONS


def frame_features(frames: np.ndarray) -> np.ndarray:
    """(N, FEATURES) float32 of frames (N, H, W, 3) uint8, H and W at least 16."""
    rgb = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 255
    found = [F.adaptive_avg_pool2d(rgb, (ROWS, COLUMNS)).flatten(1)]
    grey = brightness(rgb)
    for scale in range(SCALES):
        grey = F.avg_pool2d(grey, 2) if scale else grey
        across, down = gradients(grey)
        size = torch.hypot(across, down)
        # Undirected: a step from dark to light is the same as one from light to dark.
        angle = (torch.atan2(down, across) / torch.pi + 0.5 / DIRECTIONS).remainder(1) * DIRECTIONS
        way = F.one_hot(angle.long().clamp_max(DIRECTIONS - 1)[:, 0], DIRECTIONS).permute(0, 3, 1, 2)
        found += [
            _strength(F.adaptive_avg_pool2d(size, (ROWS, COLUMNS))),
            _strength(F.adaptive_avg_pool2d(size * way, (ROWS, 1))),
        ]
    return torch.cat(found, 1).numpy()


def brightness(rgb: Tensor) -> Tensor:
    """(N, 1, H, W) of pictures (N, 3, H, W)."""
    return (rgb * rgb.new_tensor(BRIGHTNESS)[:, None, None]).sum(1, keepdim=True)


def gradients(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Differences of neighbours to the right and down, (N, 1, H - 1, W - 1) each."""
    return grey[..., :-1, 1:] - grey[..., :-1, :-1], grey[..., 1:, :-1] - grey[..., :-1, :-1]


def _strength(energy: Tensor) -> Tensor:
    return (energy + FAINT).log().flatten(1)
