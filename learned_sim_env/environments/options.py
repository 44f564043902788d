"""`options` of `reset`, checked: where an episode of a learned environment begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from learned_sim_env.rendering.palette import classes_of
from learned_sim_env.spec import EGO_FIELDS, NUM_CLASSES, BevSpec, unknown

OPTIONS = ("context", "scenario", "observations", "actions", "snapshot")


def checked(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options, of which at most one says where to begin.

    Raises:
        ValueError: for an unknown option, two that contradict each other, or actions without observations.
    """
    options = dict(options or {})
    for name in options:
        if name not in OPTIONS:
            raise unknown("option", name, OPTIONS)
    places = [name for name in options if name != "actions"]
    if len(places) > 1:
        raise ValueError(f"options {' and '.join(map(repr, places))} contradict each other: give one of them")
    if "actions" in options and "observations" not in options:
        raise ValueError("option 'actions' belongs to option 'observations', which is missing")
    return options


def real_steps(observations: Any, actions: Any, bev: BevSpec) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A user's own T >= 1 successive observations and the actions between them, as one row of real steps.

    Args:
        observations: dict of "ego" (T, 6) and of either "bev" (T, H, W, 3) uint8 in the palette or "semantic"
            (T, H, W) integer class ids.
        actions: (T, 2), of which action t led to observation t; or (T - 1, 2), those between the observations, the
            first one being what the first `ego` says; None where T = 1.

    Returns:
        semantic (1, T, H, W) uint8, ego (1, T, 6) float32 and actions (1, T, 2) float32.

    Raises:
        ValueError: for missing or unknown keys, other shapes or types, values that are not finite, or a colour that is
            not in the palette.
    """
    if not isinstance(observations, Mapping) or set(observations) not in ({"bev", "ego"}, {"semantic", "ego"}):
        keys = sorted(observations) if isinstance(observations, Mapping) else type(observations).__name__
        raise ValueError(f"option 'observations' must be a dict of 'ego' and either 'bev' or 'semantic', got {keys}")
    ego = _numbers("observations['ego']", observations["ego"], (None, len(EGO_FIELDS)))
    steps = len(ego)
    if steps == 0:
        raise ValueError("option 'observations' is empty: give at least one observation")
    if "bev" in observations:
        image = np.asarray(observations["bev"])
        if image.dtype != np.uint8 or image.shape != (steps, bev.height, bev.width, 3):
            raise ValueError(
                f"observations['bev'] must be uint8 of shape {(steps, bev.height, bev.width, 3)}, "
                f"got {image.dtype} of shape {image.shape}"
            )
        semantic = classes_of(image)
    else:
        semantic = np.asarray(observations["semantic"])
        if semantic.dtype.kind not in "iu" or semantic.shape != (steps, bev.height, bev.width):
            raise ValueError(
                f"observations['semantic'] must be integers of shape {(steps, bev.height, bev.width)}, "
                f"got {semantic.dtype} of shape {semantic.shape}"
            )
        low, high = semantic.min(), semantic.max()
        if low < 0 or high >= NUM_CLASSES:
            raise ValueError(f"observations['semantic'] holds {low}..{high}, not 0..{NUM_CLASSES - 1}")
    if actions is None and steps > 1:
        raise ValueError(f"option 'actions' is missing: {steps} observations have {steps - 1} actions between them")
    led = _numbers("option 'actions'", np.zeros((0, 2)) if actions is None else actions, (None, 2))
    if len(led) == steps - 1:
        led = np.concatenate([ego[:1, 2:4], led])
    if len(led) != steps:
        raise ValueError(f"option 'actions' has {len(led)} rows: give {steps} or {steps - 1} for {steps} observations")
    return semantic.astype(np.uint8)[None], ego[None], led.clip(-1.0, 1.0)[None]


def _numbers(what: str, values: Any, shape: tuple[int | None, ...]) -> np.ndarray:
    """Finite numbers as float32; None in `shape` is any length."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{what} is not an array: {error}") from error
    fits = array.ndim == len(shape) and all(s is None or s == n for s, n in zip(shape, array.shape))
    if array.dtype.kind not in "fiu" or not fits:
        wanted = tuple("T" if s is None else s for s in shape)
        raise ValueError(f"{what} must be numbers of shape {wanted}, got {array.dtype} of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{what} is not finite")
    return array.astype(np.float32)
