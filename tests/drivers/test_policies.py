"""The driver comes to its place on the route and to its speed, from wherever it begins."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learned_sim_env.drivers import sight
from learned_sim_env.drivers.policies import (
    FASTEST,
    SIDEWAYS,
    NetworkPolicy,
    RouteFollower,
    follow,
    open_network,
    shipped_policies,
)
from learned_sim_env.spec import CONTRACTS

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


def network(targets=False):
    rng = np.random.default_rng(0)
    sizes = [sight.SIZE, 8, 4, 2]
    layers = [(rng.normal(size=(b, a)) / 8, rng.normal(size=b)) for a, b in pairwise(sizes)]
    return NetworkPolicy(tuple((w.astype(np.float32), b.astype(np.float32)) for w, b in layers), targets, {"steps": 3})


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


def test_a_network_may_give_targets(tmp_path):
    features = np.random.default_rng(1).normal(size=(5, sight.SIZE)).astype(np.float32)
    features[:, -6:] = np.random.default_rng(2).uniform(-1, 1, (5, 6))
    network(targets=True).save(tmp_path / "p.safetensors")
    actions = open_network(str(tmp_path / "p.safetensors"))(features)
    np.testing.assert_array_equal(actions, follow(network()(features), features[:, -6:] / sight.EGO_SCALE))
    assert not np.array_equal(actions, network()(features))


def test_a_network_is_read_as_it_was_written(tmp_path):
    policy = network()
    policy.save(tmp_path / "p.safetensors")
    read = open_network(str(tmp_path / "p.safetensors"))
    features = np.random.default_rng(1).normal(size=(5, sight.SIZE)).astype(np.float32)
    np.testing.assert_array_equal(read(features), policy(features))
    np.testing.assert_allclose(read(features[0]), policy(features)[0], rtol=1e-6)
    assert read(features).shape == (5, 2) and (np.abs(read(features)) <= 1).all()
    assert read.about == {"steps": 3}


def test_files_that_are_no_networks(tmp_path):
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "p.safetensors"
    with pytest.raises(FileNotFoundError, match=r"p\.safetensors does not exist"):
        open_network(str(path))
    path.write_bytes(b"nothing at all")
    with pytest.raises(ValueError, match="is not a policy"):
        open_network(str(path))
    network().save(path)
    tensors, metadata = load_file(path), {"schema_version": "2", "outputs": "actions"}
    metadata["contract"] = CONTRACTS["driving"].fingerprint()
    for changed, message in (
        ((tensors, {**metadata, "schema_version": "1"}), "not a policy of schema version 2: 1"),
        ((tensors, {**metadata, "outputs": "wishes"}), "gives wishes, not one of actions, targets"),
        ((tensors, {**metadata, "contract": "another"}), "trained for another contract"),
        (({**tensors, "1.weight": np.zeros((4, 9), np.float32)}, metadata), "layer 1 is missing or does not take 8"),
        (({n: v for n, v in tensors.items() if n[0] != "2"}, metadata), "its last layer gives 4 numbers"),
    ):
        save_file(changed[0], path, changed[1])
        with pytest.raises(ValueError, match=message):
            open_network(str(path))
    with pytest.raises(ValueError, match="unknown policy 'drem'"):
        open_network("drem")


@pytest.mark.parametrize("name", shipped_policies())
def test_what_ships_can_be_read(name):
    assert open_network(name).about
