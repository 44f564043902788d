"""Noise is a pure function of seed, step and column, and looks like chance along each of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learned_sim_env.imagination.noise import uniforms

INT64 = st.integers(-(2**63), 2**63 - 1)
ROWS = st.lists(st.tuples(INT64, st.integers(0, 2**40)), min_size=1, max_size=8)


def noise(rows, size):
    seeds, steps = (torch.tensor(column, dtype=torch.int64) for column in zip(*rows))
    return uniforms(seeds, steps, size)


@given(rows=ROWS, size=st.integers(1, 40))
def test_a_row_does_not_see_its_batch(rows, size):
    together = noise(rows, size)
    assert together.shape == (len(rows), size)
    assert together.dtype == torch.float32
    assert ((together >= 0) & (together < 1)).all()
    for row, expected in zip(rows, together):
        assert torch.equal(noise([row], size)[0], expected)
        assert torch.equal(noise([row], size + 3)[0, :size], expected)
    assert torch.equal(noise(rows[::-1], size), together.flip(0))


def test_arguments_are_left_alone():
    seeds, steps = torch.arange(4), torch.arange(4)
    uniforms(seeds, steps, 3)
    assert seeds.tolist() == steps.tolist() == [0, 1, 2, 3]


def test_values_are_pinned():
    """A seed means the same episode in every version."""
    found = noise([(0, 0), (1, 0), (0, 1), (-1, 10**6)], 2)
    assert (found * 2**24).tolist() == [
        [14819496, 7239838],
        [6094019, 11904929],
        [10946269, 11764387],
        [11010897, 5338199],
    ]


@pytest.mark.parametrize("axis", ["seed", "step", "column"])
def test_uniform_and_independent_along(axis):
    n, chi2 = 20_000, []
    for k in range(20):
        rows = {"seed": [(i, k) for i in range(n)], "step": [(k, i) for i in range(n)], "column": [(k, k)]}[axis]
        x = noise(rows, n if axis == "column" else 1).flatten().double().numpy()
        counts, _ = np.histogram(x, 50, (0, 1))
        chi2.append(((counts - n / 50) ** 2 / (n / 50)).sum())
        for lag in (1, 2, 3, 16):
            assert abs(np.corrcoef(x[:-lag], x[lag:])[0, 1]) < 4.5 / np.sqrt(n)
    # 20 times 49 degrees of freedom, four standard deviations.
    assert abs(np.sum(chi2) - 20 * 49) < 4 * np.sqrt(2 * 20 * 49)


def test_neighbouring_seeds_share_no_stretch_of_noise():
    a, b = noise([(0, t) for t in range(200)], 8), noise([(1, t) for t in range(200)], 8)
    assert not np.intersect1d(a.numpy(), b.numpy()).size > 3  # a few of 2^24 values coincide by chance
    assert abs(np.corrcoef(a.flatten().numpy(), b.flatten().numpy())[0, 1]) < 0.1


@pytest.mark.gpu
def test_same_on_every_device():
    seeds, steps = torch.arange(-50, 50) * 2**55, torch.arange(100)
    assert torch.equal(uniforms(seeds, steps, 36), uniforms(seeds.cuda(), steps.cuda(), 36).cpu())
