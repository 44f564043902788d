"""Several futures of one moment, drawn with different noise: is the true one among them, and how do they differ?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from learned_sim_env.evaluation.open_loop import dream
from learned_sim_env.evaluation.windows import WindowReader, Windows
from learned_sim_env.measures.bootstrap import ratio
from learned_sim_env.spec import NUM_CLASSES, SemanticClass
from learned_sim_env.world_model.geometry import integrate
from learned_sim_env.world_model.protocol import WorldModel

# Steps after the context at which futures are compared.
MOMENTS = (15, 30)


@dataclass(frozen=True, eq=False)
class Branches:
    """N windows at the S `MOMENTS`, with k sampled futures, the mode's, and the true one.

    episode: (N,) int64. places: (N, k, S, 2), mode_places, true_places: (N, S, 2) [m], of the ego, in its frame at the
    end of the context. views: (N, k, S, H, W), mode_views, true_views: (N, S, H, W) uint8 class ids, seen from above;
    None where the model draws none.
    """

    episode: np.ndarray
    places: np.ndarray
    mode_places: np.ndarray
    true_places: np.ndarray
    views: np.ndarray | None
    mode_views: np.ndarray | None
    true_views: np.ndarray | None


def branch(
    model: WorldModel,
    reader: WindowReader,
    windows: Windows,
    samples: int,
    batch_size: int,
    progress: Callable[[int], object],
) -> Branches:
    """Futures of all windows, under the recorded actions; the noise of a window depends on its index alone.

    Args:
        model: on any device.
        reader: of at least `MOMENTS[-1]` steps.
        windows: N of them, whose episodes reach the last moment.
        samples: k, at least 2.
        batch_size: futures at a time.
        progress: called with how many more windows are done.

    Raises:
        ValueError: if the model predicts something that is not finite.
    """
    at = [step - 1 for step in MOMENTS]
    places: list[tuple[np.ndarray, ...]] = []
    views: list[tuple[np.ndarray, ...]] = []
    size = max(batch_size // samples, 1)
    for first in range(0, len(windows), size):
        some = windows[first : first + size]
        batch = reader.read(some)
        known, after = batch.observations, slice(batch.context, None)
        draw = ("bev",) if "bev" in model.draws and "bev" in known else ()
        mode = dream(model, batch, None, draw)
        seeds = torch.arange(first * samples, (first + len(some)) * samples)
        drawn = dream(model, batch, seeds, draw)
        where = [_places(drawn, at).reshape(len(some), samples, len(at), 2), _places(mode, at)]
        places.append((*where, batch.pose[:, after][:, at, :2].numpy()))
        if draw:
            sampled = drawn["bev"][:, at].unflatten(0, (len(some), samples))
            views.append(tuple(v.numpy() for v in (sampled, mode["bev"][:, at], known["bev"][:, after][:, at])))
        progress(len(some))
    joined = [np.concatenate(x) for part in (places, views) for x in zip(*part)]
    return Branches(windows.episode, *joined, *[None] * (6 - len(joined)))


def _places(dreamt: dict[str, torch.Tensor], at: list[int]) -> np.ndarray:
    """(B, S, 2) at some steps."""
    return integrate(dreamt["motion"])[:, at, :2].numpy()


def displacements(found: Branches) -> dict[str, np.ndarray]:
    """Distance from the true place of the ego [m], (N, S) float64 by name.

    "mode"; "mean of k" and "best of k" samples; "borrowed best of k": the best of the mode plus the deviations that
    another window's samples have from their mode. The best of k gets better with k whatever is drawn, so it says
    something only where it beats the borrowed one: then samples differ where this moment is open.
    """
    samples = _distance(found.places, found.true_places[:, None])
    deviations = np.roll(found.places - found.mode_places[:, None], max(len(found.episode) // 2, 1), axis=0)
    borrowed = _distance(found.mode_places[:, None] + deviations, found.true_places[:, None])
    return {
        "mode": _distance(found.mode_places, found.true_places),
        "mean of k": samples.mean(1),
        "best of k": samples.min(1),
        "borrowed best of k": borrowed.min(1),
    }


def vehicle_overlaps(found: Branches) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Intersection and union of the vehicles' pixels, (N, S) each by name: "mode", "mean of k", "best of k" by IoU.

    Those of "mean of k" are summed over the samples.
    """
    truth = found.true_views
    assert truth is not None and found.views is not None and found.mode_views is not None
    both, either = _overlap(found.views, truth[:, None])
    best = np.where(either > 0, both / np.maximum(either, 1), 1.0).argmax(1)[:, None]
    return {
        "mode": _overlap(found.mode_views, truth),
        "mean of k": (both.sum(1), either.sum(1)),
        "best of k": tuple(np.take_along_axis(x, best, 1)[:, 0] for x in (both, either)),
    }


def pooled_iou(weights: np.ndarray, overlap: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(R, S) IoU of summed intersections and unions, with weights (R, N); NaN where there is nothing."""
    return ratio(weights @ overlap[0], weights @ overlap[1])


def place_spread(found: Branches) -> np.ndarray:
    """(N, S) float64 [m]: root mean squared distance of the samples' places from their mean, unbiased in its square."""
    squares = ((found.places - found.places.mean(1, keepdims=True)).astype(np.float64) ** 2).sum(-1)
    return np.sqrt(squares.sum(1) / (found.places.shape[1] - 1))


def error_of_mean(found: Branches) -> np.ndarray:
    """(N, S) float64 [m]: distance of the samples' mean place from the true one, without what k samples add to it.

    Its square is squared error minus 1/k of the squared spread, below 0 as 0. If the true future is like one more
    sample, its root mean square is that of `place_spread`.
    """
    squares = _distance(found.places.mean(1), found.true_places) ** 2
    return np.sqrt(np.maximum(squares - place_spread(found) ** 2 / found.places.shape[1], 0))


def view_spread(found: Branches) -> np.ndarray:
    """(N, S) float64 in [0, 1]: share of pixels in which two samples differ, on average over all pairs of samples."""
    assert found.true_views is not None and found.views is not None
    k, same = found.views.shape[1], np.zeros(found.true_views.shape)
    for kind in range(NUM_CLASSES):
        count = (found.views == kind).sum(1)
        same += count * (count - 1)
    return 1 - (same / (k * (k - 1))).mean((-1, -2))


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sqrt(((a.astype(np.float64) - b) ** 2).sum(-1))


def _overlap(predicted: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (...) that both, and that either of views (..., H, W) show a vehicle in."""
    p, t = (view == SemanticClass.VEHICLE for view in (predicted, truth))
    # As in `iou.confusion`: what truly is the ego counts as nothing.
    p = p & (truth != SemanticClass.EGO)
    return (p & t).sum((-1, -2)), (p | t).sum((-1, -2))
