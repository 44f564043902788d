"""How far a predicted view is from the true one as an image: squared error, structural similarity, wrong pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from learned_sim_env.measures.bootstrap import ratio
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.spec import NUM_CLASSES, PALETTE

# Side of the square window [pixels] and stabilising constants of Wang et al. 2004, with scikit-image's defaults.
_WINDOW = 7
_C1, _C2 = 0.01**2, 0.03**2
# [1] Squared distance between the colours of two classes, mean over the channels in [0, 1]: (9, 9) float64.
_COLOUR_ERROR = ((PALETTE[:, None] / 255.0 - PALETTE[None] / 255.0) ** 2).mean(-1)


def wrong_share(weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Share of pixels whose class is wrong.

    It cannot show what is wrong: a shifted kerb weighs as much as a missing car, and large areas rule. Pixels that
    truly are the ego count as nothing.

    Args:
        weights: (R, N) float.
        counts: (N, T, 9, 9) pixels by true and predicted class, see `iou.confusion`.

    Returns:
        (R, T) float64 in [0, 1]; NaN at steps that no window reaches.
    """
    return _mean_over_pixels(weights, counts, 1.0 - np.eye(NUM_CLASSES))


def mean_squared_error(weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean squared error of the coloured image in [0, 1], exactly: it follows from which classes were confused.

    It cannot show what matters for driving: the error of a pixel is how different two colours happen to be, and a
    blurred image would score better than a sharp one that is slightly off. Arguments as of `wrong_share`.

    Returns:
        (R, T) float64 in [0, 1]; NaN at steps that no window reaches.
    """
    return _mean_over_pixels(weights, counts, _COLOUR_ERROR)


def ssim(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean structural similarity (Wang et al. 2004) of coloured views, windows of 7 by 7 pixels that count alike.

    It cannot show whether the scene is right: flat areas (off-road, plain road) are perfectly similar wherever they
    are, which lifts the mean, and small moving things hardly weigh.

    Args:
        predicted, truth: (..., H, W) uint8 class ids, at least 7 by 7.

    Returns:
        (...) float32 in [-1, 1], 1 if they are the same; the mean over channels and windows inside the image.
    """
    shape = truth.shape[:-2]
    images = (colourise(view.reshape(-1, *view.shape[-2:])) for view in (predicted, truth))
    return similarity_map(*images).mean((1, 2, 3)).view(shape).numpy()


def similarity_map(predicted: np.ndarray, truth: np.ndarray) -> Tensor:
    """(M, 3, H - 6, W - 6) float32 structural similarity of frames (M, H, W, 3) uint8, by channel and window."""
    x, y = (torch.from_numpy(image).permute(0, 3, 1, 2).float() / 255 for image in (predicted, truth))
    mean_x, mean_y = _mean(x), _mean(y)
    # Unbiased, over the pixels of a window.
    unbiased = _WINDOW**2 / (_WINDOW**2 - 1)
    var_x = unbiased * (_mean(x * x) - mean_x**2)
    var_y = unbiased * (_mean(y * y) - mean_y**2)
    covariance = unbiased * (_mean(x * y) - mean_x * mean_y)
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    structure = (2 * covariance + _C2) / (var_x + var_y + _C2)
    return luminance * structure


def _mean(images: Tensor) -> Tensor:
    """(M, C, H - 6, W - 6): means over all windows."""
    # First over rows, then over columns: far fewer sums than over squares.
    return F.avg_pool2d(F.avg_pool2d(images, (_WINDOW, 1), stride=1), (1, _WINDOW), stride=1)


def _mean_over_pixels(weights: np.ndarray, counts: np.ndarray, error: np.ndarray) -> np.ndarray:
    """(R, T) mean of what a pixel costs by true and predicted class, (9, 9)."""
    return ratio(weights @ np.tensordot(counts, error, 2), weights @ counts.sum((2, 3), dtype=np.float64))
