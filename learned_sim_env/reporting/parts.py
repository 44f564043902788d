"""What every part of an evaluation hands over to be written, whatever it measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Table:
    """Cells as text; the first row of a table is its `head`."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, eq=False)
class Part:
    """One level of the ladder of trust, measured.

    name: its key in the JSON report. title: its heading. method: how it was measured. limits: what it cannot show.
    values: JSON-ready. figures: by title, what draws into an empty figure of matplotlib. pictures: by title, RGB
    (H, W, 3) uint8, such as film strips.
    """

    name: str
    title: str
    method: str
    limits: str
    tables: tuple[Table, ...]
    values: dict[str, Any]
    figures: dict[str, Callable[[Figure], None]] = field(default_factory=dict)
    pictures: dict[str, np.ndarray] = field(default_factory=dict)


def not_applicable(name: str, title: str, reason: str, more: str = "") -> Part:
    """The part of a report that stands for what cannot be measured with this model."""
    return Part(
        name=name,
        title=f"{title}: not applicable",
        method=f"Not applicable: {reason}.{f' {more}' if more else ''}",
        limits="Nothing was measured, which says neither good nor bad of the model.",
        tables=(),
        values={"not_applicable": reason},
    )
