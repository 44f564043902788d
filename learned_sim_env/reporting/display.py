"""Estimates as text of a table, as JSON, and as lines of a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from learned_sim_env.measures.bootstrap import Estimate

# A model, then its baselines, as colour and line: told apart without colour vision too.
STYLES: tuple[tuple[str, Any], ...] = (
    ("#0072b2", "-"),
    ("#8a8a8a", ":"),
    ("#e69f00", "--"),
    ("#009e73", "-."),
    ("#cc79a7", (0, (5, 1, 1, 1))),
    ("#56b4e9", (0, (8, 2))),
    ("#d55e00", (0, (3, 1, 1, 1, 1, 1))),
    ("#000000", (0, (1, 3))),
)


def at(estimate: Estimate, index: Any) -> Estimate:
    """Of one entry, or of some."""
    return Estimate(estimate.value[index], estimate.low[index], estimate.high[index])


def text(estimate: Estimate, digits: int, scale: float = 1.0) -> str:
    """A single one with its interval, times `scale`; "-" where the data cannot tell."""
    value, low, high = (number(float(x) * scale, digits) for x in (estimate.value, estimate.low, estimate.high))
    return value if value == "-" else f"{value} [{low}, {high}]"


def number(value: float, digits: int) -> str:
    """Rounded; "-" for what is not finite."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def rate(count: float, seconds: float) -> str:
    """So many a second; few with a decimal."""
    found = count / max(seconds, 1e-9)
    return f"{found:,.0f}" if found >= 10 else f"{found:.1f}"


def plain(value: Any) -> Any:
    """JSON-ready: estimates as value, low and high, arrays as lists, None for what is not finite."""
    if isinstance(value, Estimate):
        return {name: plain(part) for name, part in vars(value).items()}
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, str | bool | int | None):
        return value
    if isinstance(value, np.integer):
        return int(value)
    if np.ndim(value):
        return [plain(part) for part in value]
    return round(float(value), 6) if math.isfinite(value) else None


def steps_text(steps: int) -> str:
    """A number of steps in words."""
    return f"{steps} step{'s' * (steps != 1)}"


def curve(axis: Any, x: Sequence[float] | np.ndarray, estimate: Estimate, label: str, style: tuple[str, Any]) -> None:
    """A line of estimates (len(x),) with its 95% interval as a band, on an axis of matplotlib."""
    axis.plot(x, estimate.value, linestyle=style[1], color=style[0], label=label)
    axis.fill_between(x, estimate.low, estimate.high, color=style[0], alpha=0.15, linewidth=0)
