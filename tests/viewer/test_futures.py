"""The overlay shows where futures of the same moment differ, and nothing else."""

from __future__ import annotations

import numpy as np

from learned_sim_env.drivers.route import RouteFollower
from learned_sim_env.environments.learned import LearnedDrivingEnv
from learned_sim_env.viewer.futures import APART, COUNT, FutureBundles
from learned_sim_env.viewer.session import Session
from tests.toy_model import NeuralToy, toy_checkpoint
from tests.viewer.conftest import ACTION, same


def test_without_chance_there_is_one_future(shipped):
    session = Session(LearnedDrivingEnv(shipped.unwrapped.checkpoint, temperature=0), seed=0, scenario="curve")
    futures, driver = FutureBundles(session.env), RouteFollower.from_ego(session.moment.observation["ego"])
    for _ in range(20):
        session.step(driver(session.moment.observation["ego"]))
        found, age = futures.overlay(session.moment)
    overlay = found["bev"]
    assert overlay.shape == (64, 64)
    assert overlay.dtype == np.uint8
    # Several rows at once may round otherwise than one, which moves an edge by a pixel here and there.
    assert (overlay > 0).mean() < 0.01
    assert age == 20


def followed(env, scenario, steps):
    """A session after steps along the route, with the first chance that does not end it before."""
    for seed in range(20):
        session = Session(env, seed=seed, scenario=scenario)
        driver = RouteFollower.from_ego(session.moment.observation["ego"])
        for _ in range(steps):
            if session.moment.over:
                break
            session.step(driver(session.moment.observation["ego"]))
        if not session.moment.over:
            return session
    raise AssertionError(f"every {scenario} ends before {steps} steps")


def test_futures_differ_where_the_model_guesses(shipped):
    session = followed(shipped, "roundabout", 25)
    overlay = FutureBundles(shipped.unwrapped).overlay(session.moment)[0]["bev"]
    assert 0 < (overlay > 0).mean() < 0.9
    # What the context has shown stays what it was: where the ego is, less is in doubt than far ahead.
    assert overlay[40:56].mean() < overlay[:16].mean()


def test_futures_part_between_one_and_a_half_and_three_seconds_ago(session):
    futures, ages = FutureBundles(session.env), []
    for _ in range(70):
        session.step(ACTION)
        ages.append(futures.overlay(session.moment)[1])
    assert ages[: 2 * APART] == list(range(1, 2 * APART + 1))
    assert min(ages[APART:]) >= APART - 1
    assert max(ages) == 2 * APART


def test_the_toys_futures_all_differ(session):
    futures = FutureBundles(session.env)
    assert not futures.overlay(session.moment)[0]["bev"].any()
    for _ in range(10):
        session.step(ACTION)
    found, age = futures.overlay(session.moment)
    overlay = found["bev"]
    # Its views are of one class, which chance decides: most of the futures show another one.
    assert len(np.unique(overlay)) == 1
    assert overlay[0, 0] >= 255 // 2
    assert age == 10
    assert COUNT == 8


def test_looking_changes_nothing(session):
    looked, futures = [], FutureBundles(session.env)
    for _ in range(5):
        looked.append(session.step(ACTION))
        futures.overlay(session.moment)
    other = Session(LearnedDrivingEnv(toy_checkpoint(NeuralToy())), seed=0)
    assert all(same(moment, other.step(ACTION)) for moment in looked)


def test_it_follows_jumps(session):
    futures = FutureBundles(session.env)
    for _ in range(12):
        session.step(ACTION)
    there = futures.overlay(session.moment)
    session.again()
    assert not futures.overlay(session.moment)[0]["bev"].any()
    for _ in range(12):
        session.step(ACTION)
    again = futures.overlay(session.moment)
    assert np.array_equal(again[0]["bev"], there[0]["bev"])
    assert again[1] == there[1]


def test_the_futures_of_a_dream_in_bfloat16_are_in_bfloat16():
    class Narrow(NeuralToy):
        def in_bfloat16(self):
            return Wide()

    class Wide(NeuralToy):
        def imagine(self, state, action, noise, temperature=1.0):
            after = super().imagine(state, action, noise, temperature)
            return {**after, "z": after["z"] + 1}

    # What runs in bfloat16 sees another class after each step than what does not.
    session = Session(LearnedDrivingEnv(toy_checkpoint(Narrow()), dtype="bfloat16", temperature=0), seed=0)
    futures = FutureBundles(session.env)
    for _ in range(4):
        session.step(ACTION)
    overlay = futures.overlay(session.moment)[0]["bev"]
    assert not overlay.any()
