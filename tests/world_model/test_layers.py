"""A row of a product is the same to the bit, whatever it is computed with."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from learned_sim_env.world_model.layers import linear


@pytest.fixture
def threads():
    """Sets how many threads there are, for the time of a test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("size", "out"), [(2, 32), (48, 18), (128, 87), (278, 384), (346, 128), (384, 128), (786, 128), (1906, 256)]
)
@torch.inference_mode()
def test_a_row_does_not_depend_on_others_or_threads(threads, size, out, dtype):
    torch.manual_seed(0)
    x, weight, bias = (torch.randn(*shape).to(dtype) for shape in ((129, size), (out, size), (out,)))
    threads(1)
    all_rows = linear(x, weight, bias)
    for count in (1, 2, 4):
        threads(count)
        for rows in (1, 2, 3, 5, 9, 15, 16, 17, 31, 33, 64, 100, 129):
            assert torch.equal(linear(x[:rows], weight, bias), all_rows[:rows]), (count, rows)
            assert torch.equal(linear(x[-rows:], weight, bias), all_rows[-rows:]), (count, rows)


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 4, 8), (0,)])
@pytest.mark.parametrize("size", [20, 1000])
@torch.inference_mode()
def test_it_is_the_product(shape, size):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(*shape, size), torch.randn(7, size), torch.randn(7)
    for given in (bias, None):
        assert torch.allclose(linear(x, weight, given), F.linear(x, weight, given), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_parts_add_up_in_full_precision():
    torch.manual_seed(0)
    x, weight = torch.randn(64, 4000).bfloat16(), torch.randn(32, 4000).bfloat16()
    exact = F.linear(x.double(), weight.double())
    off, usual = (float((found.double() - exact).std()) for found in (linear(x, weight), F.linear(x, weight)))
    assert off < 1.5 * usual
