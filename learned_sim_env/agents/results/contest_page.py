"""What the experiment says of planners beside how they drive."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from learned_sim_env.reporting.display import number
from learned_sim_env.reporting.parts import Part, Table

# Numbers of an update of a planner: heading, digits.
MEASURES = {"milliseconds": ("milliseconds", 0), "reward": ("reward a step", 3), "cost": ("cost a step", 4)}


def planning_part(logged: Mapping[str, Sequence[Path]]) -> Part:
    """How long decisions take, and how well planners drive in the dream they plan in.

    logged: `metrics.jsonl` of each planner's runs, by its name.
    """
    found = {}
    for name, paths in logged.items():
        rows = [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
        found[name] = {key: float(np.mean([row[key] for row in rows])) for key in MEASURES}
    return Part(
        name="planning",
        title="What a decision takes",
        method=(
            "Planners drive stretches of the dream that begin at real moments. Milliseconds are of processor, of one "
            "decision; reward and cost are means over what may happen in a step."
        ),
        limits="The dream that they drive in is the one that they plan in: the simulator is not as they expect it.",
        tables=(
            Table(
                "Planners in the dream",
                ("planner", *(title for title, _ in MEASURES.values())),
                tuple((n, *(number(v[key], d) for key, (_, d) in MEASURES.items())) for n, v in found.items()),
            ),
        ),
        values=found,
    )
