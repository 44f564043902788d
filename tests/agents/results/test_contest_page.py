"""What is said of planners, from what their runs have logged."""

from __future__ import annotations

import json

from learned_sim_env.agents.results.contest_page import planning_part


def test_decisions_of_all_runs_count_alike(tmp_path):
    for i, several in enumerate(([100.0, 200.0], [300.0])):
        rows = [{"update": n, "milliseconds": ms, "reward": 0.5, "cost": 0.01} for n, ms in enumerate(several)]
        (tmp_path / f"{i}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    part = planning_part({"mppi": [tmp_path / "0.jsonl", tmp_path / "1.jsonl"]})
    assert part.tables[0].rows == (("mppi", "200", "0.500", "0.0100"),)
    assert part.values["mppi"]["milliseconds"] == 200.0
