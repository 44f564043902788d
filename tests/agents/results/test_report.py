"""The page of a run says what it learned from, and what a planner's driving came to."""

from __future__ import annotations

import pytest

pytest.importorskip("matplotlib", reason="needs the extra [train]")

from matplotlib.figure import Figure

from learned_sim_env.agents.results.report import part

SAVED = [{"policy": "policy.safetensors", "updates": 4, "steps": 6, "seconds": 4.0, "cpu_seconds": 3.0}]


def page(agent, curve, **settings):
    return part({"settings": {"agent": agent, **settings}, "saved": SAVED}, {}, curve)


def test_a_planner_is_told_by_all_that_it_drove():
    took = {"seconds": 1.0, "cpu_seconds": 1.0, "steps": 50}
    curve = [{"update": 3, "reward": 1.0, **took}, {"update": 4, "reward": 5.0, **took}]
    planner = page("mppi", curve)
    assert planner.values["means"] == {"reward": 2.0}
    assert planner.tables[1].rows == (("2",),) and planner.tables[0].rows[0][-1] == "1.5"
    assert planner.title == "How it drives in the dream" and planner.method.startswith("It learns nothing")
    for draw in planner.figures.values():
        draw(Figure())
    learned = page("dreamer", curve, dream=40)
    assert learned.values["means"] == {"reward": 5.0}


@pytest.mark.parametrize(
    ("agent", "settings", "source"),
    [
        ("dreamer", {"dream": 40}, "Learned from dreams of the world model alone"),
        ("pmpo", {"dream": 30}, "Learned from recorded episodes and dreams of the world model alone"),
        ("cloning", {}, "Learned from recorded episodes alone"),
    ],
)
def test_it_says_what_was_learned_from(agent, settings, source):
    found = page(agent, [{"update": 1, "seconds": 1.0, "cpu_seconds": 1.0, "steps": 1, "reward": 0.1}], **settings)
    assert found.method.startswith(source)
