"""What whole episodes amount to."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from learned_sim_env.reinforcement.recipe import Recipe
from learned_sim_env.reinforcement.transfer_page import COST_PER_KM, MEASURES, PER_KM, driving_part, measured


def episode(end: str, speed: float, steps: int, score: float = 0.5) -> dict:
    rest = dict.fromkeys(("completion", "jerk", "reward", "cost"), 1.0)
    return {"end": end, "speed": speed, "steps": steps, "score": score, **rest}


def test_collisions_count_by_the_distance_that_was_driven():
    far = [episode("collision", 10.0, 1000), episode("arrival", 10.0, 3000)]
    near = [episode("collision", 5.0, 1000), episode("collision", 5.0, 1000, score=0.1)]
    found = measured([far, near])
    assert set(found) == set(MEASURES)
    # Three in 5 km.
    assert found[PER_KM].value == np.float64(3 / 5) and found["collision"].value == 0.75
    assert found["arrival"].value == 0.25 and found["score"].value == np.float64(1.6 / 4)
    assert found[PER_KM].low <= found[PER_KM].value <= found[PER_KM].high
    assert found[COST_PER_KM].value == np.float64(4 / 5)


def test_who_stands_is_not_judged_by_the_distance():
    assert np.isnan(measured([[episode("collision", 0.01, 100)]])[PER_KM].value)


def test_agents_stand_beside_ppo():
    ran = {"seconds": 120.0, "env_seconds": 60.0, "steps": 1000, "recipe": asdict(Recipe())}
    runs = {place: [{**ran, "place": place, "curve": []}] for place in ("dream", "twin")}
    episodes = [[episode("arrival", 10.0, 1000)]]
    part = driving_part(
        dict.fromkeys(("dreamer", "dream", "twin"), episodes), runs, {"dreamer": [{"seconds": 60.0, "steps": 3000}]}
    )
    driven, took = part.tables
    assert [row[0] for row in driven.rows] == ["dreamer", "dream", "twin"]
    assert [row[:5] for row in took.rows] == [
        ("dream", "1,000", "2.0", "8", "50%"),
        ("twin", "1,000", "2.0", "8", "50%"),
        ("dreamer", "3,000", "1.0", "50", ""),
    ]
    # Half the time of PPO in the simulator.
    assert took.rows[-1][5] == "0.50"


def test_agents_are_compared_among_themselves():
    part = driving_part(
        {"dreamer": [[episode("arrival", 10.0, 1000)]]}, {}, {"dreamer": [{"seconds": 60.0, "steps": 9}]}
    )
    assert part.tables[1].rows == (("dreamer", "9", "1.0", "0", "", "", ""),) and not part.figures
    assert "PPO" not in part.method and part.limits.startswith("Few runs")
