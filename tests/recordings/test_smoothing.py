"""The smoothed path is near the truth, can be driven, and does not mind gaps, noise and outliers."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.recordings.car import SingleTrack
from learned_sim_env.recordings.recording import EgoPath, RecordingError
from learned_sim_env.recordings.smoothing import drivable, smooth


def path_of(world, noise=0.0, seed=0, headings=True, **changes) -> EgoPath:
    rng = np.random.default_rng(seed)
    places = world.rear[:, :2] + rng.normal(0, noise, (len(world.times), 2))
    turned = world.rear[:, 2] + rng.normal(0, 0.01 if noise else 0.0, len(world.times))
    values = {"times": world.times, "places": places, "headings": turned if headings else None} | changes
    return EgoPath(**values)


def away(states, world):
    return np.hypot(*(states[:, :2] - world.rear[:, :2]).T)


def test_exact_path(world):
    states, used = smooth(path_of(world), world.times)
    assert used.all()
    assert away(states, world).max() < 0.05
    assert np.abs(states[:, 3] - world.speeds).max() < 0.1
    assert np.abs(states[:, 5] - world.curvature).max() < 0.01


@pytest.mark.parametrize("headings", [True, False])
def test_noisy_path(headings, world):
    path = path_of(world, noise=0.1, headings=headings)
    states, _, noise = drivable(path, world.times)
    assert away(states, world)[5:-5].max() < 0.3
    assert np.abs(np.diff(states[:, 3])).max() / 0.1 < 6.0
    actions, able = SingleTrack().actions(states[:, :4], 0.1)
    assert able.mean() > 0.95
    assert np.corrcoef(actions[:, 0], -world.curvature[:-1])[0, 1] > 0.95
    assert noise >= 0.05


def test_times_that_jitter(world):
    rng = np.random.default_rng(1)
    times = world.times + np.concatenate([[0.0], rng.uniform(-0.04, 0.04, len(world.times) - 2), [0.0]])
    places = np.stack([np.interp(times, world.times, world.rear[:, k]) for k in (0, 1)], -1)
    headings = np.interp(times, world.times, world.rear[:, 2])
    states, _ = smooth(EgoPath(times, places, headings), world.times)
    assert away(states, world).max() < 0.1


def test_few_moments(world):
    rows = slice(None, None, 5)
    path = EgoPath(world.times[rows], world.rear[rows, :2], world.rear[rows, 2])
    states, _ = smooth(path, world.times)
    assert away(states, world).max() < 0.15


def test_outliers_are_left_out(world):
    path = path_of(world, noise=0.02)
    path.places[[20, 40]] += 5.0
    states, used = smooth(path, world.times)
    assert set(np.flatnonzero(~used)) == {20, 40}
    assert away(states, world).max() < 0.2


def test_the_recorded_point_may_be_anywhere_on_the_car(world):
    states, _ = smooth(EgoPath(world.times, world.middle[:, :2], world.middle[:, 2], origin=1.4), world.times)
    assert away(states, world).max() < 0.05


def test_reversing(world):
    path = EgoPath(world.times, world.rear[::-1, :2], world.rear[::-1, 2])
    states, _ = smooth(path, world.times)
    assert np.abs(states[:, 3] + world.speeds[::-1]).max() < 0.2
    assert not SingleTrack().actions(states[:, :4], 0.1)[1].any()


def test_car_that_stands_and_points_nowhere(world):
    path = EgoPath(world.times, np.zeros((len(world.times), 2)), None)
    with pytest.raises(RecordingError, match="points nowhere"):
        smooth(path, world.times)
