"""What happened is likely under futures that are like it, and unlikely under others."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.measures.histogram_likelihood import FEATURES, NAMES, features, log_likelihood, scores

DT = 0.1


def driven(speed, yaw_rate=0.0, steps=20, gap=10.0):
    """Features (steps, 5) of one that drives so."""
    t = np.arange(steps + 1) * DT
    heading = yaw_rate * t
    step = np.stack([np.cos(heading), np.sin(heading)], -1)[:-1] * speed * DT
    place = np.vstack([np.zeros((1, 2)), step.cumsum(0)])
    return features(np.column_stack([place, heading]), np.full(steps, gap), DT)


def test_features_are_speeds_turns_and_their_changes():
    found = driven(5.0, 0.3)
    assert found.shape == (20, len(FEATURES)) and np.isnan(found[0, [1, 3]]).all()
    assert np.allclose(found[1:], [5.0, 0.0, 0.3, 0.0, 10.0], atol=1e-6)


def test_futures_like_what_happened_make_it_likely():
    happened = driven(6.0, 0.3)[None]
    same, wide, other = (
        np.stack([driven(speed, 0.3) for speed in speeds])[None]
        for speeds in ([6.0] * 8, np.linspace(1, 12, 8), [15.0] * 8)
    )
    a, b, c = (log_likelihood(futures, happened)[0, 0] for futures in (same, wide, other))
    assert 0 > a > b > c
    # Of 160 steps all are in its bin of ten.
    assert a == pytest.approx(np.log(160.1 / 161))


def test_whether_it_touches_anything_counts_once():
    happened = np.stack([driven(5.0), driven(5.0)])
    happened[1, 7, -1] = -0.3
    futures = np.repeat(happened[:1, None], 4, 1)[[0, 0]]
    futures[:, 0, 3, -1] = -0.1
    found = np.exp(log_likelihood(futures, happened)[:, -1])
    assert found == pytest.approx([0.75, 0.25], abs=0.001)


def test_moments_and_road_users_that_are_not_known_do_not_count():
    happened = driven(5.0)[None].copy()
    happened[0, 5:] = np.nan
    futures = np.repeat(happened[:, None], 4, 1)
    likelihood = log_likelihood(futures, happened)
    assert np.isfinite(likelihood).all()
    likelihood = np.concatenate([likelihood, np.full_like(likelihood, np.nan)])
    found = scores(likelihood, np.array([0, 2]), 3)
    assert found.shape == (3, len(NAMES) + 1) and np.isnan(found[1:]).all()
    assert found[0, -1] == pytest.approx(np.average(found[0, :-1], weights=[0.05] * 4 + [0.1, 0.25]))
    assert log_likelihood(futures[:0], happened[:0]).shape == (0, len(NAMES))
