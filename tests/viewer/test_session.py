"""A drive can go back, begin again and be pushed, and what follows is what would have followed."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.display.frame import TRAIL
from learned_sim_env.drivers.route import RouteFollower
from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.viewer.session import Session
from learned_sim_env.viewer.timeline import moved
from tests.toy_model import CRASH, ToyModel, toy_checkpoint
from tests.viewer.conftest import ACTION, same

ACTIONS = np.random.default_rng(0).uniform(-0.9, 0.9, (40, 2)).astype(np.float32)


def driven(session: Session, steps: int, start: int = 0):
    return [session.step(action) for action in ACTIONS[start : start + steps]]


def test_rewinding_and_driving_on_is_as_if_nothing_had_been(session):
    there = driven(session, 20)
    for _ in range(10):
        session.rewind()
    assert session.moment is there[9]
    again = driven(session, 10, start=10)
    assert all(same(a, b) for a, b in zip(again, there[10:]))
    assert session.moment.since_start()[0].parent is None
    assert len(session.moment.since_start()) == 21


def test_rewinding_reaches_30_s_back(session):
    first = session.moment
    for _ in range(300):
        session.step(ACTION)
    for _ in range(300):
        assert session.rewind() is not None
    assert session.moment is first
    assert session.rewind() is None
    assert session.moment is first


def test_the_mark_is_another_try(session):
    assert session.return_to_mark() is None
    driven(session, 5)
    session.set_mark()
    one = driven(session, 5)
    session.return_to_mark()
    other = driven(session, 5, start=10)
    session.return_to_mark()
    assert all(same(a, b) for a, b in zip(driven(session, 5), one))
    assert not same(one[0], other[0])


def test_the_end_can_be_undone(session):
    driven(session, 3)
    assert session.step(CRASH).info["end_reason"] == "collision"
    session.rewind()
    assert not session.step(ACTION).over


def test_again_is_the_same_and_another_chance_is_not(session):
    first = session.moment
    one = driven(session, 5)
    assert same(session.again(), first)
    assert all(same(a, b) for a, b in zip(driven(session, 5), one))
    session.another_chance()
    assert session.moment.info["context"] == first.info["context"]
    assert not any(same(a, b) for a, b in zip(driven(session, 5), one))


def test_contexts_follow_each_other(dream):
    session = Session(dream, seed=0, scenario="curve")
    seen = [session.moment.info["context"]] + [session.following().info["context"] for _ in range(20)]
    assert sorted(set(seen)) == list(range(0, 40, 2))
    assert seen[20] == seen[0]
    session.go_to(None)
    assert session.following().info["context"] - 1 in range(-1, 40)


def test_places_that_no_context_has_leave_everything_as_it_was(session):
    driven(session, 3)
    here = session.moment
    for wrong in ("merge", "roundabuot"):
        with pytest.raises(ValueError, match=wrong):
            session.go_to(wrong)
    assert session.moment is here
    assert session.scenario is None
    assert not session.step(ACTION).over


def test_a_push_changes_what_follows_and_nothing_that_was(shipped):
    session = Session(shipped, seed=0, scenario="curve")
    driver = RouteFollower.from_ego(session.moment.observation["ego"])
    for _ in range(5):
        session.step(driver(session.moment.observation["ego"]))
    here = session.moment
    after = session.step(driver(here.observation["ego"]))
    session.restore(here)
    pushed = session.perturb(0.2)
    assert pushed.parent is here.parent
    assert pushed.info["imagined_steps"] == 5
    assert np.array_equal(pushed.observation["ego"], here.observation["ego"])
    moved = pushed.snapshot["state"]["h"] - here.snapshot["state"]["h"]
    assert np.abs(moved).std() > 0
    assert moved.std() == pytest.approx(0.2 * here.snapshot["state"]["h"].std(), rel=0.3)
    changed = session.step(driver(here.observation["ego"]))
    assert not np.array_equal(changed.snapshot["state"]["h"], after.snapshot["state"]["h"])
    # The same push again, and the moment before it, are what they were.
    session.restore(here)
    assert same(session.perturb(0.2), pushed)
    session.restore(here)
    assert same(session.step(driver(here.observation["ego"])), after)


def test_a_model_without_a_recurrent_state_cannot_be_pushed():
    session = Session(LearnedDrivingEnv(toy_checkpoint(ToyModel())), seed=0)
    with pytest.raises(ValueError, match="no recurrent state"):
        session.perturb(0.2)


def test_uncertainties_of_the_last_30_s(session):
    assert session.moment.uncertainties().tolist() == [0.0]
    for _ in range(TRAIL + 20):
        session.step(ACTION)
    assert session.moment.uncertainties().tolist() == [0.25] * TRAIL
    opened = session.open(session.moment.snapshot, np.full(TRAIL, 0.5, np.float32))
    assert opened.uncertainties().tolist() == [0.5] * (TRAIL - 1) + [0.25]


def test_the_path_of_the_ego_adds_up(session):
    steps = driven(session, 3)
    # The toy never turns.
    ahead = sum(float(moment.info["ego_motion"][0]) for moment in steps)
    assert ahead > 0
    assert session.moment.pose.tolist() == [ahead, 0.0, 0.0]
    quarter = moved(np.array([1.0, 2.0, np.pi / 2]), np.array([3.0, 1.0, 0.5], np.float32))
    np.testing.assert_allclose(quarter, [0.0, 5.0, np.pi / 2 + 0.5], atol=1e-6)
