"""A pilot disturbs what a driver sees and does, and leaves the world as it is."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.drivers.catalogue import open_driver
from learned_sim_env.harness.engine.job import Job
from learned_sim_env.harness.engine.pilot import Pilot
from learned_sim_env.harness.stress.strategies.disturbed_actions import ActionDelay
from learned_sim_env.harness.stress.strategies.disturbed_observations import Patch
from tests.drivers.road import EGO, YES, road, seen


def test_a_driver_gets_what_an_environment_shows_and_where_its_drive_begins():
    told = []

    def driver(observations, began):
        told.append((observations, began))
        return np.zeros((2, 2))

    pilot = Pilot(driver, [Job("a", 0, 0, 5), Job("b", 0, 0, 5, (Patch(1.0, 1),))])
    views = road(20).repeat(2, 0)
    both = {"bev": views, "ego": EGO.repeat(2, 0)}
    pilot(both), pilot(both)
    assert [began.tolist() for _, began in told] == [[True, True], [False, False]]
    np.testing.assert_array_equal(told[0][0]["bev"][0], seen(road(20))["bev"][0])
    assert not np.array_equal(told[0][0]["bev"][1], told[0][0]["bev"][0])


def test_a_driver_is_shown_what_it_needs_alone():
    class Blind:
        observes = ("ego",)

        def __call__(self, observations, began):
            assert set(observations) == {"ego"}
            return np.zeros((1, 2))

    assert Pilot(Blind(), [Job("x", 0, 0, 1)])({"bev": road(), "ego": EGO}).shape == (1, 2)


def test_a_driver_does_in_a_pilot_what_it_does_alone():
    pilot, alone = Pilot(open_driver("careful", [0]), [Job("x", 0, 0, 5)]), open_driver("careful", [0])
    np.testing.assert_array_equal(pilot({"bev": road(30), "ego": EGO}), alone(seen(road(30)), YES))


def test_a_policy_that_gives_no_actions_is_named():
    pilot = Pilot(lambda observations, began: np.full((1, 2), np.nan), [Job("x", 0, 0, 1)])
    with pytest.raises(ValueError, match="not finite"):
        pilot({"bev": road(), "ego": EGO})


def test_the_pilot_leaves_the_world_as_it_is():
    job = Job("late", 0, 0, 5, (ActionDelay(0.2),))
    given = iter([0.1, 0.2, 0.3, 0.4])
    pilot = Pilot(lambda observations, began: np.full((1, 2), next(given)), [job])
    view = road(20)
    before = view.copy()
    taken = [round(float(pilot({"bev": view, "ego": EGO})[0, 0]), 3) for _ in range(4)]
    assert taken == [0.1, 0.1, 0.1, 0.2]
    np.testing.assert_array_equal(view, before)


def test_frames_of_cameras_are_shown_as_they_are():
    class Watching:
        observes = ("front", "ego")

        def __call__(self, observations, began):
            assert set(observations) == {"front", "ego"} and (observations["front"] == 7).all()
            return np.zeros((1, 2))

    frames = np.full((1, 64, 96, 3), 7, np.uint8)
    Pilot(Watching(), [Job("x", 0, 0, 1)])({"front": frames, "ego": EGO})
