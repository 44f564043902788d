"""How far a predicted camera frame is from the true one: PSNR and structural similarity, of all pixels or some."""

from __future__ import annotations

import numpy as np

from learned_sim_env.measures.bootstrap import ratio
from learned_sim_env.measures.image_error import similarity_map

# [dB] Most that a frame counts for: an equal one would outweigh all others.
MOST_PSNR = 60.0
# [levels of 255] By more than this, on average over its channels, a pixel differs: less is noise of drawing.
DIFFERENCE = 12.0
# Pixels at each edge of a frame that no window of the structural similarity is centred on.
_MARGIN = 3


def psnr(predicted: np.ndarray, truth: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """Peak signal-to-noise ratio [dB] of each frame, at most `MOST_PSNR`.

    It cannot show what a difference is: it punishes a sharp edge a pixel off more than a blur.

    Args:
        predicted, truth: (..., H, W, 3) uint8.
        where: (..., H, W) bool, pixels that count; all by default.

    Returns:
        (...) float64; NaN where no pixel counts.
    """
    error = ((predicted.astype(np.float64) - truth) ** 2).mean(-1) / 255.0**2
    counts = np.ones(error.shape) if where is None else where.astype(np.float64)
    mean = ratio((error * counts).sum((-1, -2)), counts.sum((-1, -2)))
    return -10.0 * np.log10(np.maximum(mean, 10.0 ** (-MOST_PSNR / 10.0)))


def frame_ssim(predicted: np.ndarray, truth: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """Mean structural similarity (Wang et al. 2004) of each frame, by windows of 7 by 7 pixels that count alike.

    It cannot show whether what is alike matters: sky and plain road lift it. Arguments as of `psnr`; of a window its
    middle has to count.

    Returns:
        (...) float64 in [-1, 1], 1 if they are the same; NaN where no window counts.
    """
    shape = truth.shape[:-3]
    flat = (frame.reshape(-1, *frame.shape[-3:]) for frame in (predicted, truth))
    similarity = similarity_map(*flat).mean(1).numpy().astype(np.float64)
    counts = np.ones(similarity.shape)
    if where is not None:
        inside = slice(_MARGIN, -_MARGIN)
        counts = where.reshape(-1, *where.shape[-2:])[:, inside, inside].astype(np.float64)
    return ratio((similarity * counts).sum((-1, -2)), counts.sum((-1, -2))).reshape(shape)


def changed(frames: np.ndarray, before: np.ndarray) -> np.ndarray:
    """(..., H, W) bool: pixels of frames (..., H, W, 3) uint8 that differ from `before`, by more than `DIFFERENCE`."""
    return np.abs(frames.astype(np.int16) - before).mean(-1) > DIFFERENCE
