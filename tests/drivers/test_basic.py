"""Chance of a row is its own, lasts about a second and is as large as it is said to be."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.drivers.basic import ConstantDriver, NoisyDriver
from learned_sim_env.drivers.catalogue import SCRIPTED, open_driver
from tests.drivers.road import EGO, road, seen


@pytest.mark.parametrize("name", ["random", "noisy-2"])
def test_chance_of_a_row_is_its_seed(name):
    many, alone, again = (open_driver(name, seeds) for seeds in ([5, 6, 7], [6], [6]))
    views, began = road().repeat(3, 0), np.ones(3, bool)
    for _ in range(150):  # more than is drawn at a time
        rows = many(seen(views, EGO.repeat(3, 0)), began)
        one = alone(seen(road()), began[:1])
        np.testing.assert_array_equal(rows[1], one[0])
        np.testing.assert_array_equal(again(seen(road()), began[:1]), one)
        began = np.zeros(3, bool)
    assert not np.array_equal(rows[0], rows[2])


def test_noise_is_as_large_as_it_is_said_to_be_and_lasts():
    driver = NoisyDriver(ConstantDriver(0.0, 0.0), (0.1, 0.2), range(500))
    began, taken = np.ones(500, bool), []
    for _ in range(100):
        taken.append(driver({}, began))
        began = np.zeros(500, bool)
    noise = np.stack(taken)
    np.testing.assert_allclose(noise.std((0, 1)), (0.1, 0.2), rtol=0.03)
    np.testing.assert_allclose(noise[0].std(0), (0.1, 0.2), rtol=0.1)
    for steps, kept in ((1, 0.9), (10, 0.9**10)):
        found = (noise[steps:] * noise[:-steps]).mean((0, 1)) / noise.var((0, 1))
        np.testing.assert_allclose(found, kept, atol=0.03)


def test_noise_begins_anew_with_an_episode():
    driver = NoisyDriver(ConstantDriver(0.0, 0.0), (0.1, 0.2), range(2000))
    last = driver({}, np.ones(2000, bool))
    began = np.arange(2000) < 1000
    now = driver({}, began)
    np.testing.assert_array_equal(now[began], last[began])
    assert np.corrcoef(last[~began, 0], now[~began, 0])[0, 1] == pytest.approx(0.9, abs=0.1)


@pytest.mark.parametrize("name", [n for n in SCRIPTED if n not in ("careful", "idm")] + ["careful-6", "idm", "dream"])
def test_an_episode_does_not_depend_on_the_one_before(name):
    def drive(driver, rows, steps, first=0):
        views, taken = road().repeat(rows, 0), []
        for t in range(steps):
            ego = EGO.repeat(rows, 0) * (1 + 0.01 * (first + t))
            taken.append(driver(seen(views, ego), np.full(rows, t == 0)))
        return np.stack(taken)

    driver = open_driver(name, [5, 6])
    drive(driver, 2, 70, first=9)
    np.testing.assert_array_equal(drive(driver, 2, 20), drive(open_driver(name, [5, 6]), 2, 20))
