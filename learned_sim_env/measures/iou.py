"""Intersection over union of the view, by class and step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learned_sim_env.measures.bootstrap import ratio
from learned_sim_env.spec import NUM_CLASSES, SemanticClass

C = SemanticClass
# What is compared, by name. "drivable" is all that belongs to the roadway; "road" is what is painted as road alone.
CLASSES: dict[str, tuple[SemanticClass, ...]] = {
    "drivable": (C.ROAD, C.ROUTE, C.BROKEN_LINE, C.SOLID_LINE),
    "road": (C.ROAD,),
    "route": (C.ROUTE,),
    "lines": (C.BROKEN_LINE, C.SOLID_LINE),
    "vehicles": (C.VEHICLE,),
    "objects": (C.STATIC_OBJECT,),
}


def confusion(predicted: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Pixels by true class and predicted class.

    Args:
        predicted, truth: (B, T, H, W) uint8 class ids.
        valid: (B, T) bool; views that are not count as empty.

    Returns:
        (B, T, 9, 9) int32; pixels that truly are the ego count as nothing, because they are the same in every view.
    """
    b, t = valid.shape
    pair = truth.astype(np.int64) * NUM_CLASSES + predicted
    pair += np.arange(b * t).reshape(b, t, 1, 1) * NUM_CLASSES**2
    counts = np.bincount(pair.ravel(), minlength=b * t * NUM_CLASSES**2).reshape(b, t, NUM_CLASSES, NUM_CLASSES)
    counts[..., SemanticClass.EGO, :] = 0
    return np.where(valid[..., None, None], counts, 0).astype(np.int32)


def iou(weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """IoU of each of `CLASSES`; intersections and unions are summed over windows before they are divided.

    It cannot show whether the shapes are plausible, nor how near a miss was: a car beside its place scores as one that
    is missing. Large areas near the ego, which hardly change, lift it; judge by the baselines on the same windows.

    Args:
        weights: (R, N) float.
        counts: (N, T, 9, 9), see `confusion`.

    Returns:
        (R, T, len(CLASSES)) float64 in [0, 1]; NaN where a class neither is nor is predicted.
    """
    return _iou(weights, counts, list(CLASSES.values()))


def class_iou(weights: np.ndarray, counts: np.ndarray, classes: Sequence[SemanticClass]) -> np.ndarray:
    """The same of each of `classes` by itself: (R, T, len(classes))."""
    return _iou(weights, counts, [(c,) for c in classes])


def _iou(weights: np.ndarray, counts: np.ndarray, groups: Sequence[tuple[SemanticClass, ...]]) -> np.ndarray:
    """(R, T, len(groups)), of the pixels of each group together."""
    parts = []
    for classes in groups:
        both = counts[:, :, classes][..., classes].sum((-1, -2))
        parts.append((both, counts[:, :, classes].sum((-1, -2)) + counts[..., classes].sum((-1, -2)) - both))
    intersection, union = (np.stack(p, -1).astype(np.float64) for p in zip(*parts))
    return ratio(np.tensordot(weights, intersection, 1), np.tensordot(weights, union, 1))
