"""All parts of an evaluation as files, and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from learned_sim_env.files import write_json
from learned_sim_env.reporting.html import write_html
from learned_sim_env.reporting.parts import Part, Table, targets_table


def write_report(folder: Path, name: str, title: str, about: Mapping[str, Any], parts: Sequence[Part]) -> list[Path]:
    """Write `<name>.html` for people and `<name>.json`, with `about` and all parts, each whole or not at all."""
    page, values = folder / f"{name}.html", folder / f"{name}.json"
    write_html(page, title, about, parts)
    write_json(values, {"about": about, **{part.name: _values(part) for part in parts}})
    return [page, values]


def markdown(table: Table) -> str:
    """A table's head and rows, columns aligned."""
    widths = [max(map(len, column)) for column in zip(table.head, *table.rows)]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths)) + " |" for row in (table.head, *table.rows)
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])


def measured_markdown(parts: Sequence[Part]) -> str:
    """What was asked of parts and what came out, and after it their tables; nothing of parts of which none was."""
    asked = [part for part in parts if part.targets]
    if not asked:
        return ""
    lines = [
        "\n## Asked and measured\n",
        markdown(targets_table([target for part in asked for target in part.targets])),
    ]
    for part in asked:
        lines.append(f"\n## {part.title}")
        for table in part.tables:
            lines.append(f"\n### {table.title}\n\n{markdown(table)}")
    return "\n".join(lines) + "\n"


def _values(part: Part) -> dict[str, Any]:
    return {**part.values, "targets": [vars(target) for target in part.targets]} if part.targets else part.values


def print_tables(parts: Sequence[Part], width: int) -> None:
    """Print all tables, in columns of `width` characters."""
    for part in parts:
        for table in (*((targets_table(part.targets),) if part.targets else ()), *part.tables):
            print(f"\n{table.title}")
            for row in (table.head, *table.rows):
                print("  " + "  ".join(f"{cell:<{width}}" for cell in row).rstrip())
