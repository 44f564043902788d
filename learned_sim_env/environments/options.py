"""`options` of `reset`, checked: where an episode of a learned environment begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from learned_sim_env.rendering.palette import classes_of
from learned_sim_env.spec import EGO_FIELDS, NUM_CLASSES, Contract, Modality, observed_as, unknown

OPTIONS = ("context", "scenario", "appearance", "observations", "actions", "snapshot")


def checked(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options, of which at most one says where to begin; "scenario" and "appearance" go together.

    Raises:
        ValueError: for an unknown option, two that contradict each other, or actions without observations.
    """
    options = dict(options or {})
    for name in options:
        if name not in OPTIONS:
            raise unknown("option", name, OPTIONS)
    places = [name for name in options if name != "actions"]
    if len(places) > 1 and set(places) != {"scenario", "appearance"}:
        raise ValueError(f"options {' and '.join(map(repr, places))} contradict each other: give one of them")
    if "actions" in options and "observations" not in options:
        raise ValueError("option 'actions' belongs to option 'observations', which is missing")
    return options


def real_steps(
    observations: Any, actions: Any, contract: Contract, names: Iterable[str]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A user's own T >= 1 successive observations and the actions between them, as one row of real steps.

    Args:
        observations: dict of the modalities `names`, each (T, *shape), as an environment's observations have them:
            class ids as "bev" (T, H, W, 3) uint8 in the palette, or as "semantic" (T, H, W) integers. Further
            modalities of the contract are left out.
        actions: (T, 2), of which action t led to observation t; or (T - 1, 2), those between the observations, with
            the first one read off the first `ego`; None where T = 1.
        contract: that has the modalities.
        names: of the modalities needed; "ego" is among them.

    Returns:
        Observations by modality (1, T, *shape) of its dtype, and actions (1, T, 2) float32.

    Raises:
        ValueError: for missing or unknown keys, other shapes or types, values that are not finite, or a colour that is
            not in the palette.
    """
    names = tuple(names)
    _check_keys(observations, contract, names)
    ego = _numbers("observations['ego']", observations["ego"], (None, len(EGO_FIELDS)))
    steps = len(ego)
    if steps == 0:
        raise ValueError("option 'observations' is empty: give at least one observation")
    seen = {name: ego if name == "ego" else _seen(observations, contract.modality(name), steps) for name in names}
    if actions is None and steps > 1:
        raise ValueError(f"option 'actions' is missing: {steps} observations have {steps - 1} actions between them")
    led = _numbers("option 'actions'", np.zeros((0, 2)) if actions is None else actions, (None, 2))
    if len(led) == steps - 1:
        led = np.concatenate([ego[:1, 2:4], led])
    if len(led) != steps:
        raise ValueError(f"option 'actions' has {len(led)} rows: give {steps} or {steps - 1} for {steps} observations")
    return {name: value[None] for name, value in seen.items()}, led.clip(-1.0, 1.0)[None]


def _check_keys(observations: Any, contract: Contract, names: tuple[str, ...]) -> None:
    keys = [tuple(dict.fromkeys((name, observed_as(name)))) for name in names]
    wanted = ["either " * (len(k) > 1) + " or ".join(map(repr, k)) for k in keys]
    message = f"option 'observations' must be a dict of {' and '.join(sorted(wanted, reverse=True))}, got "
    if not isinstance(observations, Mapping):
        raise ValueError(message + type(observations).__name__)
    known = {key for m in contract.modalities for key in (m.name, observed_as(m.name))}
    given = [sum(key in observations for key in k) for k in keys]
    if any(count != 1 for count in given) or not set(observations) <= known:
        raise ValueError(message + str(sorted(map(str, observations))))


def _seen(observations: Mapping[str, Any], modality: Modality, steps: int) -> np.ndarray:
    """One modality (T, *shape) of its dtype."""
    name = modality.name
    if modality.kind == "vector":
        return _numbers(f"observations[{name!r}]", observations[name], (steps, *modality.shape))
    if modality.kind == "rgb" or name in observations:
        image, shape = np.asarray(observations[name]), (steps, *modality.picture_space.shape)
        if image.dtype != np.uint8 or image.shape != shape:
            raise ValueError(
                f"observations[{name!r}] must be uint8 of shape {shape}, got {image.dtype} of shape {image.shape}"
            )
        return image if modality.kind == "rgb" else classes_of(image)
    key = observed_as(name)
    ids, shape = np.asarray(observations[key]), (steps, *modality.shape)
    if ids.dtype.kind not in "iu" or ids.shape != shape:
        raise ValueError(
            f"observations[{key!r}] must be integers of shape {shape}, got {ids.dtype} of shape {ids.shape}"
        )
    low, high = ids.min(), ids.max()
    if low < 0 or high >= NUM_CLASSES:
        raise ValueError(f"observations[{key!r}] holds {low}..{high}, not 0..{NUM_CLASSES - 1}")
    return ids.astype(np.uint8)


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
