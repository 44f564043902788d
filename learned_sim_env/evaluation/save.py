"""A report on disk."""

from __future__ import annotations

from pathlib import Path

from learned_sim_env.evaluation.figure import draw_figure
from learned_sim_env.evaluation.scores import Report
from learned_sim_env.files import replacing, write_json, write_text


def save(report: Report, folder: Path) -> list[Path]:
    """Write `report.json`, `table.md` and `figure.png` (needs matplotlib), each whole or not at all."""
    paths = [folder / name for name in ("report.json", "table.md", "figure.png")]
    write_json(paths[0], report.to_dict())
    write_text(paths[1], report.table())
    with replacing(paths[2]) as temporary:
        draw_figure(report, temporary)
    return paths
