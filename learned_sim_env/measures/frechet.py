"""How far apart two sets of clips are as distributions: the Frechet distance on features that can be explained.

Frechet inception and video distances use networks trained on photographs, which say little about semantic images and
would have to be downloaded. The features here are what a reader of the views would count: how much of each class is
where, at three moments, and how the ego moved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env.scene import wrap_angle
from learned_sim_env.spec import SemanticClass

# Steps after the context at which a clip is looked at; it ends with the last.
MOMENTS = (10, 20, 30)
# Cells of the view along each side.
_GRID = 4
# Principal components kept at most, and clips needed for each: covariances of fewer are noise.
COMPONENTS = 24
_CLIPS_PER_COMPONENT = 4


def clip_features(views: np.ndarray) -> np.ndarray:
    """Share of each cell of a 4 by 4 grid that is of each class but the ego, at `MOMENTS`.

    Args:
        views: (B, T, H, W) uint8 class ids from the first step after the context on, H and W multiples of 4.

    Returns:
        (B, len(MOMENTS) * 16 * 8) float32 in [0, 1].
    """
    some = views[:, [step - 1 for step in MOMENTS]]
    return view_features(some.reshape(-1, *some.shape[2:])).reshape(len(some), -1)


def view_features(views: np.ndarray) -> np.ndarray:
    """The same of single views (N, H, W): (N, 16 * 8)."""
    n, height, width = views.shape
    cells = views.reshape(n, _GRID, height // _GRID, _GRID, width // _GRID)
    kinds = [c for c in SemanticClass if c != SemanticClass.EGO]
    return np.stack([(cells == c).mean((2, 4), dtype=np.float32) for c in kinds], -1).reshape(n, -1)


def motion_features(pose: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """How the ego moved up to the last of `MOMENTS`: place, heading, mean, change and spread of speed, turning.

    Args:
        pose: (B, T, 3) in the frame of the ego at the end of the context [m, m, rad].
        speed: (B, T) [m/s].

    Returns:
        (B, 7) float32.
    """
    pose, speed = pose[:, : MOMENTS[-1]], speed[:, : MOMENTS[-1]]
    turning = np.abs(wrap_angle(np.diff(pose[..., 2], axis=1))).sum(1)
    columns = (*pose[:, -1].T, speed.mean(1), speed[:, -1] - speed[:, 0], speed.std(1), turning)
    return np.stack(columns, -1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Whitening:
    """Features as principal components of what is real, in which real clips have mean 0 and variance 1.

    mean, scale: (F,). components: (F, K).
    """

    mean: np.ndarray
    scale: np.ndarray
    components: np.ndarray

    @staticmethod
    def of(real: np.ndarray, most: int) -> Whitening:
        """The `most` widest components, or as many as vary, of real clips (N, F)."""
        mean, scale = real.mean(0, dtype=np.float64), real.std(0, dtype=np.float64)
        # What varies by less is rounding.
        scale = np.where(scale > 1e-4 * (1 + np.abs(mean)), scale, np.inf)
        _, spread, axes = np.linalg.svd((real - mean) / scale, full_matrices=False)
        kept = min(int((spread > 1e-3 * spread[0]).sum()), most)
        return Whitening(mean, scale, axes[:kept].T * (np.sqrt(len(real)) / spread[:kept]))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(N, K) float64 of features (N, F)."""
        return ((features - self.mean) / self.scale) @ self.components


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """|mean a - mean b|^2 + tr(A + B - 2 (A B)^(1/2)) of features (N, K) and (M, K), A and B their covariances.

    It cannot show whether a clip is right, only whether such clips are as frequent: a set in another order has distance
    0. It sees means and covariances of the features alone, and small sets are far apart for being small: compare with
    the distance of two sets of real clips of the same sizes.
    """
    shift = ((a.mean(0) - b.mean(0)) ** 2).sum()
    cov_a, cov_b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    values, vectors = np.linalg.eigh(cov_a)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    # tr (A B)^(1/2) is the sum of the roots of the eigenvalues of A^(1/2) B A^(1/2), which is symmetric.
    both = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0)).sum()
    # Rounding may leave it a little below 0.
    return max(float(shift + np.trace(cov_a) + np.trace(cov_b) - 2 * both), 0.0)


def distances_of_halves(
    clips: dict[str, np.ndarray], episode: np.ndarray, real: str, halvings: int, seed: int
) -> dict[str, np.ndarray]:
    """Distances of each set from real clips, of the same and of other episodes, for random halves of the episodes.

    Clips of one half are compared with the real ones of that half, window by window the same, which cancels much
    chance, and with the real ones of the other half, which is what real clips themselves can be compared with.

    Args:
        clips: features (N, F) by name, rows of the same windows.
        episode: (N,) int64 of the windows.
        real: name of the real clips.
        halvings: how many times the episodes are halved.
        seed: of the halves.

    Returns:
        (halvings, 2) float64 by name: from the same half, from the other half. NaN where a half has too few clips, or
        real clips are all the same.
    """
    found = {name: np.full((halvings, 2), np.nan) for name in clips}
    numbers = np.unique(episode)
    rng = np.random.default_rng(seed)
    if len(numbers) < 2 or len(episode) < 2 * _CLIPS_PER_COMPONENT:
        return found
    # As many components as the clips of a half can bear.
    whiten = Whitening.of(clips[real], min(COMPONENTS, len(episode) // (2 * _CLIPS_PER_COMPONENT)))
    white = {name: whiten(features.astype(np.float64)) for name, features in clips.items()}
    for i in range(halvings):
        first = np.isin(episode, rng.permutation(numbers)[: len(numbers) // 2])
        if min(first.sum(), (~first).sum()) < 2 or not whiten.components.size:
            continue
        for name, features in white.items():
            found[name][i] = [frechet_distance(features[first], white[real][half]) for half in (first, ~first)]
    return found
