"""Starts are the posterior after real steps, the same whoever asks."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.starts import Start, Starts
from tests.toy_model import NeuralToy, ToyContexts, ToyModel


def make(model, contexts=40, pictures=False):
    return Starts(model, ToyContexts(contexts), Inference(torch.device("cpu")), ("bev",) if pictures else ())


def test_five_real_steps_are_observed():
    start = make(ToyModel()).from_contexts(np.array([3, 12]))
    assert start.state["wander"].tolist() == [5, 5]
    assert start.state["z"].tolist() == [3, 12 % 9]
    assert start.ego[:, 0].tolist() == [3, 3]
    assert not start.drawn


@given(st.lists(st.integers(0, 39), min_size=1, max_size=20))
def test_same_bits_in_any_company_and_order(indices):
    together = make(NeuralToy(), pictures=True).from_contexts(np.array(indices))
    for row, i in enumerate(indices):
        alone = make(NeuralToy(), pictures=True).from_contexts(np.array([i]))
        assert torch.equal(alone.state["h"][0], together.state["h"][row])
        assert np.array_equal(alone.drawn["bev"][0], together.drawn["bev"][row])


def test_a_context_is_warmed_up_once():
    class Counting(ToyModel):
        calls = 0

        def observe(self, *arguments):
            self.calls += 1
            return super().observe(*arguments)

    model = Counting()
    starts = make(model)
    for _ in range(3):
        starts.from_contexts(np.arange(40))
    assert model.calls == 5 * 3  # 40 contexts are three chunks


def test_what_is_kept_is_not_what_is_handed_out():
    starts = make(ToyModel())
    first = starts.from_contexts(np.array([4]))
    with torch.inference_mode():
        first.state["wander"] += 7
    assert starts.from_contexts(np.array([4])).state["wander"].tolist() == [5]


def test_pictures_are_drawn_only_when_asked_for():
    model = ToyModel()
    make(model).from_contexts(np.array([0]))
    assert model.drawn == 0
    start = make(model, pictures=True).from_contexts(np.array([1]))
    assert model.drawn == 1
    assert (start.drawn["bev"] == (1 + 5) % 9).all()


def test_own_observations_of_any_length():
    semantic = np.full((2, 3, 64, 64), 6, np.uint8)
    start = make(ToyModel()).from_observations(
        {"bev": semantic, "ego": np.zeros((2, 3, 6), np.float32)}, np.zeros((2, 3, 2), np.float32)
    )
    assert isinstance(start, Start)
    assert start.state["wander"].tolist() == [3, 3]
    assert start.state["z"].tolist() == [6, 6]
