"""Infos of vector environments, where a step that ended an episode may tell of it beside those of the next one."""

from __future__ import annotations

from typing import Any

import numpy as np

from learned_sim_env.spec import COST_TERMS, REWARD_TERMS

_TERMS = {"reward_terms": REWARD_TERMS, "cost_terms": COST_TERMS}


def info_value(info: dict[str, Any], key: str) -> Any:
    """What an info, full or numeric, says of `key`: of `spec.INFO_KEYS`, or "reward_terms.progress" and the like."""
    name, _, term = key.partition(".")
    value = info[name]
    if not term:
        return value
    return value[term] if isinstance(value, dict) else value[..., _TERMS[name].index(term)]


def of_step(infos: dict[str, Any], key: str, over: np.ndarray) -> np.ndarray:
    """What `key` was in the step just taken, (B,) or (B, ...), also in rows that have begun anew since.

    Args:
        infos: of a vector environment's step.
        key: a name in `spec.INFO_KEYS` with numbers or texts behind it, or "reward_terms.progress" and the like.
        over: (B,) bool, rows whose episode ended in this step.
    """
    values = info_value(infos, key)
    if "final_info" not in infos or not over.any():
        return values
    final = info_value(infos["final_info"], key)
    values = values.copy()
    values[over] = final[over]
    return values


def merged(infos: dict[str, Any], others: dict[str, Any], rows: np.ndarray) -> dict[str, Any]:
    """Infos of a vector environment, with `others` of it in `rows` (B,) bool."""
    found = dict(infos)
    for key, other in others.items():
        if isinstance(other, dict):
            found[key] = merged(found.get(key, {}), other, rows)
        else:
            found[key] = found[key].copy() if key in found else np.zeros_like(other)
            found[key][rows] = other[rows]
    return found
