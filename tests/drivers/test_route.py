"""Route followers come to their place and keep their lane; those that use the view brake for what is ahead."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learned_sim_env.drivers.catalogue import open_driver
from learned_sim_env.drivers.route import FASTEST, SIDEWAYS, RouteFollower, follow, targets_of
from learned_sim_env.spec import CONTRACTS, SemanticClass
from tests.drivers.road import EGO, NO, YES, road, seen

DT = CONTRACTS["driving"].dt
WHEELBASE, FULL_LOCK = 2.9, 0.7  # [m, rad] of a car


def drive(driver, ego, seconds):
    """A kinematic bicycle along a straight route; ego vectors (..., 6) before and after."""
    ego = ego.copy()
    for _ in range(round(seconds / DT)):
        steer, throttle = np.moveaxis(driver(ego), -1, 0)
        ego[..., 0] = np.maximum(ego[..., 0] + 4.0 * throttle * DT, 0.0)
        ego[..., 1] = -ego[..., 0] * np.tan(steer * FULL_LOCK) / WHEELBASE  # positive steering is right
        ego[..., 2:4] = np.stack([steer, throttle], -1)
        ego[..., 5] += ego[..., 1] * DT
        ego[..., 4] += ego[..., 0] * np.sin(ego[..., 5]) * DT
    return ego


def ego_vector(speed=8.0, distance=0.0, heading_error=0.0):
    return np.array([speed, 0.0, 0.0, 0.0, distance, heading_error], np.float32)


@given(st.floats(0, 15), st.floats(-4, 4), st.floats(-0.6, 0.6), st.floats(-2, 2))
def test_comes_to_its_place_and_speed(speed, distance, heading_error, offset):
    end = drive(RouteFollower(offset=offset, speed=6.0), ego_vector(speed, distance, heading_error), 20.0)
    assert abs(end[4] - offset) < 0.2
    assert abs(end[5]) < 0.05
    assert abs(end[0] - 6.0) < 0.2


def test_steers_right_when_it_is_left_of_its_place():
    driver = RouteFollower()
    assert driver(ego_vector(distance=1.0))[0] > 0 > driver(ego_vector(distance=-1.0))[0]
    assert driver(ego_vector(heading_error=0.2))[0] > 0 > driver(ego_vector(heading_error=-0.2))[0]


def test_many_rows_at_once():
    egos = np.stack([ego_vector(3.0, 1.5, 0.1), ego_vector(9.0, -7.0, 0.0)])
    driver = RouteFollower.from_ego(egos)
    assert driver.offset.tolist() == [1.5, -2.0]
    actions = driver(egos)
    assert actions.shape == (2, 2)
    assert actions.dtype == np.float32
    for ego, action in zip(egos, actions):
        assert np.array_equal(RouteFollower.from_ego(ego)(ego), action)


@given(st.tuples(*[st.floats(-60, 60)] * 6))
def test_actions_are_within_bounds(ego):
    assert (np.abs(RouteFollower()(np.array(ego, np.float32))) <= 1).all()


@given(st.tuples(*[st.floats(-1, 1)] * 2), st.tuples(*[st.floats(-60, 60)] * 6))
def test_targets_are_carried_out_within_bounds(targets, ego):
    assert (np.abs(follow(np.array(targets, np.float32), np.array(ego, np.float32))) <= 1).all()


@pytest.mark.parametrize(("sideways", "speed"), [(0.0, 0.0), (0.5, 0.5), (-0.5, -0.5)])
def test_targets_are_reached(sideways, speed):
    start = ego_vector(6.0, 3.0, 0.0)
    # Sideways is asked for anew from wherever one has got to.
    side = 3.0 + SIDEWAYS * sideways

    def act(ego):
        return follow(np.array([(side - ego[4]) / SIDEWAYS, speed], np.float32), ego)

    end = drive(act, start, 20.0)
    assert abs(end[4] - side) < 0.2 and abs(end[0] - FASTEST * (1 + speed) / 2) < 0.5


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


def test_targets_are_what_actions_follow_from():
    """As far as targets reach: what is asked for beyond is cut off."""
    rng = np.random.default_rng(0)
    ego = rng.uniform([0, 0, 0, 0, -3, -0.3], [10, 0, 0, 0, 3, 0.3], (200, 6)).astype(np.float32)
    targets = rng.uniform(-1, 1, (200, 2)).astype(np.float32)
    actions = follow(targets, ego)
    free = (np.abs(actions) < 1).all(1)
    assert free.sum() > 30
    np.testing.assert_allclose(targets_of(actions, ego)[free], targets[free], atol=1e-3)
    np.testing.assert_allclose(follow(targets_of(actions, ego), ego)[free], actions[free], atol=1e-4)
    assert np.abs(targets_of(np.array([[1.0, -1.0]]), np.zeros((1, 6)))).max() <= 1
