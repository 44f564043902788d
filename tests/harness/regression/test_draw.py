"""What kind of scene a moment is, and that a suite is drawn evenly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.data.episode import AGENT_SLOTS
from learned_sim_env.harness.regression.draw import HORIZON, draw
from learned_sim_env.harness.regression.labels import LABELS, expected_of, labels_of
from learned_sim_env.spec import SCENARIO_TAGS, SemanticClass
from tests.evaluation.world import episode, packed

STEPS = 60


@pytest.fixture
def empty() -> PackedData:
    """An episode of the drawn world without its other car: straight on along x at 7.5 m/s."""
    data = packed([episode(1_000_000, STEPS)])
    for name in ("agent_classes", "agent_poses", "agent_velocities"):
        data.arrays[name][:] = 0
    data.arrays["route_left"][:] = 500.0
    return data


def put(data: PackedData, ahead: float, across: float, speed: float, kind: int = SemanticClass.VEHICLE, slot: int = 0):
    """Somebody who keeps its place beside the ego, or whose line `across` (T,) is."""
    a, n = data.arrays, STEPS + 1
    a["agent_ids"][:, slot], a["agent_classes"][:, slot] = slot, kind
    a["agent_poses"][:, slot, 0] = a["ego_pose"][:, 0] + ahead
    a["agent_poses"][:, slot, 1] = across
    a["agent_velocities"][:, slot, 0] = speed
    assert n <= len(a["agent_ids"]) and slot < AGENT_SLOTS


def test_nobody_around_is_a_free_road(empty):
    assert labels_of(empty, 0, 10) == ("free_road",)
    assert expected_of(("free_road",)) == "drive"


def test_who_is_ahead_is_followed_or_stands(empty):
    put(empty, 12.0, 0.0, 7.0)
    assert labels_of(empty, 0, 10) == ("car_following",)
    put(empty, 12.0, 0.0, 0.0)
    assert labels_of(empty, 0, 10) == ("stopped_vehicle",)
    put(empty, 12.0, 0.0, 0.0, SemanticClass.STATIC_OBJECT)
    assert labels_of(empty, 0, 10) == ("cones",)


def test_who_comes_into_the_lane_cuts_in_and_who_stays_beside_does_not(empty):
    put(empty, 10.0, 3.5, 7.0)
    assert "cut_in" not in labels_of(empty, 0, 10)
    put(empty, 10.0, np.clip(3.5 - 0.15 * (np.arange(STEPS + 1) - 10), 0.0, 3.5), 7.0)
    assert "cut_in" in labels_of(empty, 0, 10)
    assert expected_of(("cut_in",)) == "safe"


def test_bends_and_ends_are_told_from_the_route(empty):
    bend = np.cumsum(np.full(14, 0.4))
    empty.arrays["route_headings"][:] = bend
    assert labels_of(empty, 0, 10) == ("curve_too_fast",)
    empty.arrays["route_left"][:] = 30.0
    assert "end_of_route" in labels_of(empty, 0, 10) and expected_of(("end_of_route",)) == "arrive"
    empty.arrays["tags"][:, SCENARIO_TAGS.index("intersection")] = True
    put(empty, 20.0, 8.0, 7.0)
    assert {"intersection", "unprotected_turn"} <= set(labels_of(empty, 0, 10))


def test_a_suite_needs_every_kind(empty):
    with pytest.raises(ValueError, match=r"of the kind .* give more episodes"):
        draw(empty)
    with pytest.raises(ValueError, match="not of the test split"):
        draw(replace(empty, seeds=np.array([5])))


def test_a_suite_is_drawn_evenly_and_starts_where_the_recording_was(monkeypatch):
    data = packed([episode(1_000_000 + i, 160) for i in range(8)])
    monkeypatch.setattr(
        "learned_sim_env.harness.regression.draw.labels_of", lambda data, e, m: (LABELS[(m // 5) % len(LABELS)],)
    )
    suite = draw(data, each=2)
    counts = {label: sum(label in s.tags for s in suite.scenarios) for label in LABELS}
    assert set(counts.values()) == {2}
    assert draw(data, each=2).scenarios == suite.scenarios
    for s in suite.scenarios:
        e = int(suite.starts.scenarios[s.start]) - 1_000_000
        replay = suite.starts.replay_actions(s.start)
        np.testing.assert_array_equal(replay, data.episode(e).actions[: len(replay)])
        np.testing.assert_array_equal(
            suite.starts.observations["bev"][s.start, -1], data.episode(e).semantic[len(replay)]
        )
        steps = int(suite.path_steps[s.start])
        assert steps == min(HORIZON, 160 - len(replay))
        np.testing.assert_allclose(suite.paths[s.start, :steps, 0], 0.75 * np.arange(1, steps + 1), atol=1e-4)
