"""Calls of a model: threads."""

from __future__ import annotations

import pytest
import torch

from learned_sim_env.imagination.inference import Inference

CPU = torch.device("cpu")


def test_one_thread_inside_and_all_of_them_outside(two_threads):
    with Inference(CPU, rows=1)():
        assert torch.get_num_threads() == 1
        assert torch.is_inference_mode_enabled()
    assert torch.get_num_threads() == 2
    with pytest.raises(KeyError), Inference(CPU, rows=31)():
        raise KeyError
    assert torch.get_num_threads() == 2
    for many in (Inference(CPU), Inference(CPU, rows=32), Inference(CPU, rows=1000)):
        with many():
            assert torch.get_num_threads() == 2
