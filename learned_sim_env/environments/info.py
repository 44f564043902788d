"""The `info` of learned environments: one record a row, shown as the dict of one environment or of a vector of them.

`numeric` converts the infos of any environment, single or vectorised, to numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from learned_sim_env.spec import COST_TERMS, INFO_KEYS, REWARD_TERMS, SCENARIO_TAGS
from learned_sim_env.task import ENDS

# What is known of a row's last step and of its episode so far.
RECORD = np.dtype(
    [
        ("reward_terms", np.float32, len(REWARD_TERMS)),
        ("cost_terms", np.float32, len(COST_TERMS)),
        ("end", np.int8),  # index into END_REASONS
        ("uncertainty", np.float32),
        ("ego_motion", np.float32, 3),
        ("imagined_steps", np.int64),
        ("context", np.int64),
        ("ego", np.float32, 6),
        ("reward_total", np.float64),
        ("cost_total", np.float64),
        ("started", np.bool_),
    ]
)

# The last one, which index -1 reads, is that of an episode that goes on.
END_REASONS = np.array([*ENDS, ""], dtype=object)


def single(record: np.void, tags: np.ndarray) -> dict[str, Any]:
    """The info of one row.

    Args:
        record: a scalar of `RECORD`.
        tags: object array of tuples of names by context; the last one, which context -1 reads, is empty.
    """
    return {
        "reward_terms": dict(zip(REWARD_TERMS, record["reward_terms"].tolist())),
        "cost": np.float64(record["cost_terms"].max()),
        "cost_terms": dict(zip(COST_TERMS, record["cost_terms"].tolist())),
        "end_reason": END_REASONS[record["end"]],
        "uncertainty": np.float64(record["uncertainty"]),
        "ego_motion": record["ego_motion"].copy(),
        "imagined_steps": int(record["imagined_steps"]),
        "context": int(record["context"]),
        "scenario_tags": tags[record["context"]],
    }


def batched(records: np.ndarray, tags: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """The infos of B rows in Gymnasium's vector form: an array for each key, and as `_key` a mask of the rows with it.

    Args:
        records: (B,) of `RECORD`.
        tags: as for `single`.
        mask: (B,) bool; the other rows are zero, or None where the array holds objects.
    """
    reward_terms, cost_terms = records["reward_terms"].astype(np.float64), records["cost_terms"].astype(np.float64)
    values = {
        "reward_terms": {name: reward_terms[:, i] for i, name in enumerate(REWARD_TERMS)},
        "cost": cost_terms.max(-1),
        "cost_terms": {name: cost_terms[:, i] for i, name in enumerate(COST_TERMS)},
        "end_reason": END_REASONS[records["end"]],
        "uncertainty": records["uncertainty"].astype(np.float64),
        "ego_motion": records["ego_motion"],
        "imagined_steps": records["imagined_steps"],
        "context": records["context"],
        "scenario_tags": tags[records["context"]],
    }
    return _masked(values, mask)


def numeric(info: dict[str, Any]) -> dict[str, Any]:
    """An info for programs that take numbers only, such as TorchRL's reader of infos and Gymnasium's `NumpyToTorch`.

    Args:
        info: of one environment, or of a vector of B.

    Returns:
        The same keys, whose values are NumPy scalars and arrays of fixed shapes, preceded by (B,) in the infos of a
        vector. "reward_terms" and "cost_terms": float32, in the order of `spec.REWARD_TERMS` and
        `spec.COST_TERMS`. "end_reason": int64, index in `(*spec.TERMINATIONS, *spec.TRUNCATIONS)`, -1 where the episode
        goes on. "scenario_tags": bool, one for each of `spec.SCENARIO_TAGS`. "final_obs" is unchanged: with
        `info_type="numeric"`, a vector environment batches it like observations. Keys that simulators add are left out.
    """
    numbers: dict[str, Any] = {}
    for key, value in info.items():
        if key == "final_info":
            numbers[key] = numeric(value)
        elif key.startswith("_") or key == "final_obs":
            numbers[key] = value
        elif key in _TERMS:
            numbers[key] = np.stack([value[name] for name in _TERMS[key]], -1).astype(np.float32)
        elif key in _NUMBERS:
            number = _NUMBERS[key]
            numbers[key] = np.array([number(v) for v in value]) if isinstance(value, np.ndarray) else number(value)
        elif key in INFO_KEYS:
            numbers[key] = value if isinstance(value, np.ndarray) else np.asarray(value)[()]
    return numbers


_TERMS = {"reward_terms": REWARD_TERMS, "cost_terms": COST_TERMS}
_ENDS = {name: np.int64(i) for i, name in enumerate(ENDS)}
# How names become numbers; None stands for rows without a value.
_NUMBERS: dict[str, Callable[[Any], Any]] = {
    "end_reason": lambda name: _ENDS.get(name, np.int64(-1)),
    "scenario_tags": lambda names: np.array([tag in (names or ()) for tag in SCENARIO_TAGS]),
}


def _masked(values: dict[str, Any], mask: np.ndarray) -> dict[str, Any]:
    infos: dict[str, Any] = {}
    all_rows = mask.all()
    for key, value in values.items():
        if isinstance(value, dict):
            infos[key] = _masked(value, mask)
        elif all_rows:
            infos[key] = value.copy()
        else:
            infos[key] = np.full(value.shape, None if value.dtype == object else 0, value.dtype)
            infos[key][mask] = value[mask]
        infos[f"_{key}"] = mask.copy()
    return infos
