"""Errors of views and of the ego's motion, by steps after the context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.evaluation.levels.prediction.futures import SSIM_STEPS, PredictedFutures
from learned_sim_env.measures import ego
from learned_sim_env.measures.bootstrap import Estimate
from learned_sim_env.measures.image_error import mean_squared_error, wrong_share
from learned_sim_env.measures.iou import CLASSES, iou
from learned_sim_env.reporting.display import STYLES, at, curve, plain, steps_text, text
from learned_sim_env.reporting.parts import Part, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# By name: label, digits of a table.
_MOTION_ERRORS = {
    "ade": ("ADE [m]", 3),
    "fde": ("FDE [m]", 3),
    "speed_error": ("speed error [m/s]", 3),
    "yaw_rate_error": ("yaw rate error [rad/s]", 3),
}
_IMAGE_ERRORS = {
    "wrong_pixels": ("wrong pixels [share]", 3),
    "mse": ("MSE of colours in [0, 1]", 4),
    "ssim": ("SSIM", 3),
}


@dataclass(frozen=True, eq=False)
class Accuracy:
    """Estimates by horizon.

    iou: (T, len(CLASSES)) by method. image: by method and measure, (T,), SSIM at the `SSIM_STEPS` up to T. motion: (T,)
    by method and measure. Units stand in the labels of the tables.
    """

    iou: dict[str, Estimate]
    image: dict[str, dict[str, Estimate]]
    motion: dict[str, dict[str, Estimate]]


def displacement(seen: PredictedFutures, method: str) -> np.ndarray:
    """(N, T) float64: distance [m] of the predicted from the true place of the ego."""
    apart = seen.pose[method][..., :2].astype(np.float64) - seen.true_pose[..., :2]
    return np.hypot(apart[..., 0], apart[..., 1])


def accuracy(seen: PredictedFutures, weights: np.ndarray) -> Accuracy:
    """Of all futures, with weights (R, N), see `bootstrap.resample`."""
    sampled = [s - 1 for s in SSIM_STEPS if s <= seen.valid.shape[1]]
    image, motion = {}, {}
    for name in seen.views:
        image[name] = {
            "wrong_pixels": Estimate.of(wrong_share(weights, seen.views[name])),
            "mse": Estimate.of(mean_squared_error(weights, seen.views[name])),
            "ssim": Estimate.of(ego.mean_at(weights, seen.similarity[name], seen.valid[:, sampled])),
        }
    for name in seen.pose:
        distance = displacement(seen, name)
        speed, yaw_rate = (
            np.abs(predicted[name] - true)
            for predicted, true in ((seen.speed, seen.true_speed), (seen.yaw_rate, seen.true_yaw_rate))
        )
        motion[name] = {
            "ade": Estimate.of(ego.mean_until(weights, distance, seen.valid)),
            "fde": Estimate.of(ego.mean_at(weights, distance, seen.valid)),
            "speed_error": Estimate.of(ego.mean_at(weights, speed, seen.valid)),
            "yaw_rate_error": Estimate.of(ego.mean_at(weights, yaw_rate, seen.valid)),
        }
    return Accuracy({name: Estimate.of(iou(weights, seen.views[name])) for name in seen.views}, image, motion)


def accuracy_part(found: Accuracy, reached: np.ndarray, steps: Sequence[int], dt: float) -> Part:
    """As a part. reached: (T,) windows that reach each step. steps: those that the tables show."""
    head = tuple(steps_text(s) for s in steps)
    ious = tuple(
        (name, method, *(text(at(e, (s - 1, i)), 3) for s in steps))
        for i, name in enumerate(CLASSES)
        for method, e in found.iou.items()
    )
    images = tuple(
        (label, method, *(text(at(measures[key], _entry(key, s)), digits) if _known(key, s) else "-" for s in steps))
        for key, (label, digits) in _IMAGE_ERRORS.items()
        for method, measures in found.image.items()
    )
    motions = tuple(
        (label, method, *(text(at(measures[key], s - 1), digits) for s in steps))
        for key, (label, digits) in _MOTION_ERRORS.items()
        for method, measures in found.motion.items()
    )
    views = (
        Table("IoU of the view, by steps after the context", ("class", "method", *head), ious),
        Table("Error of the view as an image", ("measure", "method", *head), images),
    )
    figures = {"Error of the ego's motion by horizon": lambda figure: _draw(figure, found.motion, _MOTION_ERRORS)}
    view_figures = {
        "IoU by class and horizon": lambda figure: _draw_iou(figure, found),
        "Image error by horizon": lambda figure: _draw(figure, found.image, _IMAGE_ERRORS),
    }
    return Part(
        name="prediction",
        title="L1: one and many steps ahead",
        method=(
            f"From real contexts the model runs open-loop for {len(reached)} steps of {dt:g} s (the mode of its "
            f"chances), under the recorded actions; {reached[0]} windows have a step to compare, {reached[-1]} reach "
            "the last. Intersections, unions, pixels and errors are summed over windows first; intervals are 95% of "
            "replicates that resample whole episodes. Pixels that truly are the ego count as nothing, or as right in "
            "the SSIM.\n\nBaselines: the last view copied; the last view as seen from where the ego truly is by then; "
            "the same with every mover at its last velocity (both are given the ego's true motion, which the model is "
            "not); the ego's last motion kept."
        ),
        limits=(
            "The actions were those of the recorded drivers, so it does not show what another driver would see. "
            "Windows end with their episodes: crashes count only before they happen, and late steps are of calmer "
            "episodes. Of several possible futures only one was recorded, and the mode is punished for the others. "
            "Pixel measures count large areas; an IoU cannot tell a near miss from a missing car; MSE and SSIM "
            "depend on how different the colours of two classes happen to be."
        ),
        tables=(
            *(views if found.iou else ()),
            Table("Error of the ego's motion", ("measure", "method", *head), motions),
        ),
        values={
            "windows": plain(reached),
            "ssim_steps": [s for s in SSIM_STEPS if s <= len(reached)],
            "iou": {m: {c: plain(at(e, (..., i))) for i, c in enumerate(CLASSES)} for m, e in found.iou.items()},
            "image": plain(found.image),
            "motion": plain(found.motion),
        },
        figures={**view_figures, **figures} if found.iou else figures,
    )


def _known(key: str, step: int) -> bool:
    return key != "ssim" or step in SSIM_STEPS


def _entry(key: str, step: int) -> int:
    return SSIM_STEPS.index(step) if key == "ssim" else step - 1


def _draw_iou(figure: Figure, found: Accuracy) -> None:
    figure.set_size_inches(12, 7)
    for i, (axis, name) in enumerate(zip(figure.subplots(2, 3).ravel(), CLASSES)):
        for (method, estimate), style in zip(found.iou.items(), STYLES):
            curve(axis, np.arange(1, len(estimate.value) + 1), at(estimate, (..., i)), method, style)
        axis.set(title=name, ylim=(0, 1), xlabel="steps after the context")
        axis.grid(alpha=0.3)
        if not i:
            axis.legend(fontsize=8)


def _draw(figure: Figure, found: dict[str, dict[str, Estimate]], measures: dict[str, tuple[str, Any]]) -> None:
    figure.set_size_inches(3.6 * len(measures), 3.8)
    for i, (axis, (key, (label, _))) in enumerate(zip(figure.subplots(1, len(measures)), measures.items())):
        for (method, estimates), style in zip(found.items(), STYLES):
            values = estimates[key]
            x = SSIM_STEPS[: len(values.value)] if key == "ssim" else np.arange(1, len(values.value) + 1)
            curve(axis, x, values, method, style)
        axis.set(title=label, ylim=(None, 1) if key == "ssim" else (0, None), xlabel="steps after the context")
        axis.grid(alpha=0.3)
        if not i:
            axis.legend(fontsize=8)
