"""Rank correlations, against scipy and at their limits."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.measures.rank_correlation import kendall, spearman


def test_rank_correlations_against_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, (2, 30, 8)).astype(float)
    counted = rng.random((30, 8)) < 0.8
    for mine, its in ((spearman, stats.spearmanr), (kendall, stats.kendalltau)):
        expected = [its(a[c], b[c]).statistic for a, b, c in zip(x, y, counted)]
        np.testing.assert_allclose(mine(x, y, counted), expected, atol=1e-12)


def test_rank_correlations_at_their_limits() -> None:
    every = np.ones((1, 4), bool)
    rising, steady = np.arange(4.0)[None], np.zeros((1, 4))
    few = np.array([[True, True, False, False]])
    for metric in (spearman, kendall):
        assert metric(rising, rising**3, every)[0] == pytest.approx(1.0)
        assert metric(rising, -rising, every)[0] == pytest.approx(-1.0)
        assert metric(rising, steady, every)[0] == 0.0
        assert np.isnan(metric(rising, rising, few)[0])
