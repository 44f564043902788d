"""The single-track car: forwards, backwards, and where it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.recordings.car import FULL_LOCK, PEDALS, SingleTrack

DT = 0.1


def driven(actions, speed=5.0):
    car = SingleTrack()
    states = [np.array([1.0, 2.0, 0.3, speed])]
    for action in actions:
        states.append(car.step(states[-1], np.asarray(action), DT))
    return np.array(states)


def test_inverts_itself():
    rng = np.random.default_rng(0)
    actions = np.stack([rng.uniform(-0.5, 0.5, 60), rng.uniform(-0.1, 0.6, 60)], -1)
    states = driven(actions)
    found, able = SingleTrack().actions(states, DT)
    rolling = states[1:, 3] > 1.0
    assert np.allclose(found[rolling], actions[rolling], atol=1e-4)
    assert able.all()


def test_steering_right_turns_right():
    states = driven([(1.0, 0.0)] * 10)
    assert states[-1, 2] < states[0, 2]
    way = (states[1:, 3] + states[:-1, 3]) / 2 * DT
    assert np.allclose(-np.diff(states[:, 2]) / way, FULL_LOCK)


@pytest.mark.parametrize("speed", [3.0, 0.0, -0.01, -1.0])
def test_braking_ends_in_standing(speed):
    states = driven([(0.0, -1.0)] * 30, speed)
    assert states[-1, 3] == 0.0
    assert np.abs(states[:, 3]).max() <= abs(speed)


def test_accelerates_as_the_pedals_say():
    for pedal, acceleration in PEDALS[2:]:
        states = driven([(0.0, pedal)] * 3, 10.0)
        assert np.allclose(np.diff(states[:, 3]) / DT, acceleration)


def test_what_it_cannot_do_is_not_valid():
    straight = driven([(0.0, 0.3)] * 5)
    fast, reverse, sharp = straight.copy(), straight.copy(), straight.copy()
    fast[3:, 3] += 4.0
    reverse[:, 3] = -2.0
    sharp[3:, 2] += 0.5
    assert SingleTrack().actions(straight, DT)[1].all()
    for states in (fast, reverse, sharp):
        actions, able = SingleTrack().actions(states, DT)
        assert not able.all()
        assert np.isfinite(actions).all() and np.abs(actions).max() <= 1.0


def test_standing_keeps_the_steering_around_it():
    states = driven([(0.3, 0.3)] * 10 + [(0.3, -0.3)] * 40, 2.0)
    found, _ = SingleTrack().actions(states, DT)
    assert states[-1, 3] == 0.0
    assert np.allclose(found[:, 0], 0.3, atol=1e-3)


def test_middle_of_the_box_is_ahead_of_the_axle():
    car = SingleTrack()
    pose = car.centre(np.array([0.0, 0.0, np.pi / 2, 5.0]))
    assert np.allclose(pose, [0.0, car.vehicle.rear, np.pi / 2])
