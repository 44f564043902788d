"""Those who follow the route keep their lane, and those who look brake for who is in it."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.drivers.catalogue import open_driver
from learned_sim_env.drivers.policies import RouteFollower
from learned_sim_env.spec import SemanticClass
from tests.drivers.road import EGO, NO, YES, road, seen


def test_a_lane_is_kept_until_an_episode_begins():
    act, follow = open_driver("follow-8", [0, 0]), RouteFollower(offset=np.array([1.0, -1.0]))
    ego = np.zeros((2, 6), np.float32)
    ego[:, 4] = [1.0, -1.0]
    act({"ego": ego}, np.ones(2, bool))
    ego[:, 4] = 0.0
    np.testing.assert_array_equal(act({"ego": ego}, np.zeros(2, bool)), follow(ego))
    assert act({"ego": ego}, np.array([True, False]))[0, 0] == 0


@pytest.mark.parametrize("name", ["idm", "careful"])
def test_who_looks_brakes_for_a_car_ahead_and_for_none_beside(name):
    free, near = (open_driver(name, [0])(seen(road(row)), YES)[0] for row in (None, 38))
    beside = road()
    beside[0, 30:40, 50:54] = SemanticClass.VEHICLE
    assert near[1] < -0.5 < free[1]
    assert open_driver(name, [0])(seen(beside), YES)[0, 1] == free[1]


def test_the_idm_brakes_harder_for_who_comes_nearer_and_forgets_it_when_an_episode_begins():
    def second(before: int, began: np.ndarray) -> float:
        act = open_driver("idm", [0])
        act(seen(road(before)), YES)
        return float(act(seen(road(22)), began)[0, 1])

    assert second(19, NO) < second(22, NO) == second(19, YES) < 0


def test_a_follower_sees_nobody_and_drives_at_its_speed():
    acts = {name: open_driver(name, [0])(seen(road(38)), YES)[0] for name in ("follow-3", "follow-8", "follow-10")}
    np.testing.assert_array_equal(acts["follow-8"], open_driver("follow-8", [0])({"ego": EGO}, YES)[0])
    assert acts["follow-3"][1] < 0 == acts["follow-8"][1] < acts["follow-10"][1]
