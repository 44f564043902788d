"""Rows that are computed on several threads come out as on one."""

from __future__ import annotations

import threading

import pytest
import torch

from learned_sim_env.world_model.row_threads import each


def test_several_threads_compute_rows_with_one_each(two_threads):
    both = threading.Barrier(2)

    def row(number, value):
        if number < 2:
            both.wait(timeout=30)  # Passes only if two rows are computed at the same time.
        return number, value, torch.get_num_threads(), threading.get_ident(), torch.is_inference_mode_enabled()

    with torch.inference_mode():
        found = each(row, range(4), torch.arange(4).split(1))
    assert [number for number, *_ in found] == [int(value) for _, value, *_ in found] == [0, 1, 2, 3]
    assert all(threads == 1 and inference for _, _, threads, _, inference in found)
    assert len({thread for *_, thread, _ in found}) == 2 and torch.get_num_threads() == 2


def test_gradients_and_single_rows_stay_with_the_caller(two_threads):
    weight = torch.ones(3, requires_grad=True)
    sum(each(lambda x: (x * weight).sum(), [torch.ones(3), torch.ones(3)])).backward()
    assert torch.equal(weight.grad, torch.full((3,), 2.0))
    with torch.no_grad():
        assert each(lambda x: threading.get_ident(), [0]) == [threading.get_ident()]


def test_the_error_of_a_row_is_raised_and_settings_are_as_before(two_threads):
    def row(number):
        raise ValueError(f"row {number}")

    with torch.no_grad(), pytest.raises(ValueError, match="row 0"):
        each(row, range(3))
    assert torch.get_num_threads() == 2
