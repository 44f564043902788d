"""Calls of a model: threads."""

from __future__ import annotations

import pytest
import torch

from learned_sim_env.imagination.inference import Inference

CPU = torch.device("cpu")


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_one_thread_inside_and_all_of_them_outside(two_threads, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with Inference(CPU, one_thread=True)():
        assert torch.get_num_threads() == 1
        assert torch.is_inference_mode_enabled()
    assert torch.get_num_threads() == 2
    with pytest.raises(KeyError), Inference(CPU, one_thread=True)():
        raise KeyError
    assert torch.get_num_threads() == 2
    with Inference(CPU)():
        assert torch.get_num_threads() == 2


def test_a_number_of_threads_that_the_user_set_is_kept(two_threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with Inference(CPU, one_thread=True)():
        assert torch.get_num_threads() == 2
