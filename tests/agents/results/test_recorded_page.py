"""What is said of recorded episodes, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from learned_sim_env.agents.results.recorded_page import KNOWN, recorded_parts
from tests.agents.line_world import BORDER, GOAL, line_episodes


def test_recorded_episodes_by_hand():
    data = line_episodes(count=5, steps=5)
    x = data.arrays["ego"][:, 0].reshape(5, 6)[[0, 1, 3, 4]].astype(np.float64)
    data.arrays["ego"][:, 0] = 5.0  # in place of where on the line it is
    # Of the validation split, which agents do not learn from.
    data.seeds[2] = 9
    (part,) = recorded_parts(data)
    values = part.values
    assert values["reward"]["value"] == pytest.approx((1 - np.abs(x[:, 1:] - GOAL)).sum(1).mean(), rel=1e-5)
    # Every step beyond the border costs; 20 steps of 0.5 m.
    km = 0.01
    assert values["cost_per_km"]["value"] == pytest.approx((x[:, 1:] > BORDER).sum() / km, rel=1e-5)
    assert values["speed"]["value"] == pytest.approx(5.0, rel=1e-5)
    assert values["arrival"]["value"] == 0 and set(values) == set(KNOWN)
    (row,) = part.tables[0].rows
    assert row[:2] == ("4", "20") and len(row) == len(part.tables[0].head)


def test_nothing_is_said_where_rewards_are_not_known():
    data = line_episodes(count=2, steps=5)
    known = np.ones(12, bool)
    known[3] = False
    assert not recorded_parts(replace(data, valid={"reward": known}))
    known[[0, 3]] = False, True  # No step led to the first moment.
    assert recorded_parts(replace(data, valid={"reward": known}))
