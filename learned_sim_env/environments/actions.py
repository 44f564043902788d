"""Actions as users give them, checked and converted to `[steer, throttle_brake]`."""

from __future__ import annotations

from typing import Any

import numpy as np

from learned_sim_env.spec import DISCRETE_ACTIONS

# What W, A, S and D do, alone and together: [steer, throttle_brake].
_KEYS = {
    "w": (0.0, 0.7),
    "s": (0.0, -1.0),
    "a": (-0.2, 0.0),
    "d": (0.2, 0.0),
    "wa": (-0.2, 0.7),
    "wd": (0.2, 0.7),
    "sa": (-0.2, -1.0),
    "sd": (0.2, -1.0),
}


def keys_to_action(action_type: str) -> dict[str, Any]:
    """Actions by the keys that are held, as `gymnasium.utils.play` asks for them.

    Args:
        action_type: "continuous": (2,) float32; "discrete": the nearest of `spec.DISCRETE_ACTIONS`.
    """
    actions = {keys: np.array(action, np.float32) for keys, action in _KEYS.items()}
    if action_type == "continuous":
        return actions
    return {keys: int(np.abs(DISCRETE_ACTIONS - action).sum(-1).argmin()) for keys, action in actions.items()}


def to_continuous(action: Any, action_type: str, num_envs: int | None = None) -> np.ndarray:
    """One action, or one a row, as float32 (2,) or (num_envs, 2) within [-1, 1].

    Args:
        action: "continuous": (2,) or (num_envs, 2) numbers, clipped to [-1, 1]; "discrete": an integer or
            (num_envs,) integers below 30, see `spec.DISCRETE_ACTIONS`.
        action_type: "continuous" or "discrete".
        num_envs: rows of a vector environment; None for a single one.

    Raises:
        ValueError: for another shape or type, a value that is not finite, or an unknown discrete action.
    """
    rows = () if num_envs is None else (num_envs,)
    try:
        array = np.asarray(action)
    except ValueError as error:
        raise ValueError(f"action {action!r} is not an array: {error}") from error
    if action_type == "discrete":
        if array.dtype.kind not in "iu" or array.shape != rows:
            raise ValueError(f"action {action!r}: expected integers of shape {rows}, got {array.dtype} {array.shape}")
        if ((array < 0) | (array >= len(DISCRETE_ACTIONS))).any():
            raise ValueError(f"action {action!r} is outside 0..{len(DISCRETE_ACTIONS) - 1}")
        return DISCRETE_ACTIONS[array].copy()
    if array.dtype.kind not in "fiu" or array.shape != (*rows, 2):
        raise ValueError(
            f"action {action!r}: expected numbers [steer, throttle_brake] of shape {(*rows, 2)}, "
            f"got {array.dtype} of shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"action {action!r} is not finite: steer and throttle_brake are numbers in [-1, 1]")
    return np.clip(array, -1.0, 1.0).astype(np.float32)
