"""What every part of an evaluation hands over to be written, whatever it measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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


@dataclass(frozen=True)
class Target:
    """What is asked of a figure, and what came out. asked, measured: as text. met: None if it could not be measured."""

    name: str
    asked: str
    measured: str
    met: bool | None

    @staticmethod
    def least(name: str, bound: float, value: float, digits: int = 2, unit: str = "") -> Target:
        """`value` has to be `bound` or more; one that is not finite was not measured."""
        return _target(name, "at least", bound, value, value >= bound, digits, unit)

    @staticmethod
    def most(name: str, bound: float, value: float, digits: int = 2, unit: str = "") -> Target:
        """`value` has to be `bound` or less."""
        return _target(name, "at most", bound, value, value <= bound, digits, unit)

    @property
    def verdict(self) -> str:
        """ "met", "missed" or "not measured"."""
        return "not measured" if self.met is None else "met" if self.met else "missed"


def _target(name: str, how: str, bound: float, value: float, met: bool, digits: int, unit: str) -> Target:
    known, unit = math.isfinite(value), f" {unit}" if unit else ""
    measured = f"{value:.{digits}f}{unit}" if known else "-"
    return Target(name, f"{how} {bound:g}{unit}", measured, bool(met) if known else None)


def targets_table(targets: Sequence[Target]) -> Table:
    """What is asked and what came out, one row a target."""
    rows = tuple((t.name, t.asked, t.measured, t.verdict) for t in targets)
    return Table("Asked and measured", ("figure", "asked", "measured", "verdict"), rows)


@dataclass(frozen=True, eq=False)
class Part:
    """One level of the ladder of trust, measured.

    name: its key in the JSON report. title: its heading. method: how it was measured. limits: what it cannot show.
    values: JSON-ready. figures: by title, what draws into an empty figure of matplotlib. pictures: by title, RGB
    (H, W, 3) uint8, such as film strips. targets: what is asked of its figures.
    """

    name: str
    title: str
    method: str
    limits: str
    tables: tuple[Table, ...]
    values: dict[str, Any]
    figures: dict[str, Callable[[Figure], None]] = field(default_factory=dict)
    pictures: dict[str, np.ndarray] = field(default_factory=dict)
    targets: tuple[Target, ...] = ()


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
