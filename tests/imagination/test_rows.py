"""A row has the same future, bit for bit, whatever rows it is imagined with: of the shipped model and of newer ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.rollout import Rollout
from learned_sim_env.imagination.starts import Starts
from learned_sim_env.training.rssm.roads.assembly import with_roads
from learned_sim_env.world_model.checkpoint import from_pretrained
from learned_sim_env.world_model.rssm.model import DrivingRSSM
from tests.winding_roads import library_of, winding_pieces

STEPS = 120
SEED, CONTEXT = 7, 3


@pytest.fixture(scope="module")
def shipped():
    return from_pretrained("bev-rssm")


@pytest.fixture(scope="module")
def newer(shipped):
    """The shipped model with conflicts that count, neighbours, many who come into view, from side roads too, and pieces
    of road.
    """
    old = shipped.model
    model = DrivingRSSM(replace(old.config, conflicts=True, neighbours=True, birth_tries=4), old.contract)
    torch.manual_seed(0)
    weights = model.state_dict()
    for name, weight in old.state_dict().items():
        # What is new for a network comes last, or nearly so.
        weights[name][tuple(slice(0, n) for n in weight.shape)] = weight
    model.load_state_dict(weights)
    model.births.likelier += 2.0
    model = with_roads(model.eval().requires_grad_(False), library_of(winding_pieces()))
    return replace(shipped, model=model)


def mild(rows, seed):
    """Actions (STEPS, rows, 2) that drive on."""
    return np.random.default_rng(seed).normal([0, 0.2], [0.1, 0.3], (STEPS, rows, 2)).clip(-1, 1).astype(np.float32)


def future(checkpoint, rows, places, dtype="float32"):
    """What rows at `places` say and show, all alike there: others start elsewhere and do something else."""
    model = checkpoint.model if dtype == "float32" else checkpoint.model.in_bfloat16()
    inference = Inference(torch.device("cpu"), rows)
    rollout = Rollout(model, rows, inference)
    contexts, seeds, actions = np.arange(rows) % 16, 100 + np.arange(rows), mild(rows, 1)
    contexts[places], seeds[places], actions[:, places] = CONTEXT, SEED, mild(1, 0)
    rollout.start(
        np.arange(rows), Starts(model, checkpoint.contexts, inference, ("bev",)).from_contexts(contexts), seeds
    )
    said = []
    for action in actions:
        step = rollout.step(action)
        said.append(
            [
                *(getattr(step, name)[places] for name in ("ego", "motion", "terms", "events", "uncertainty")),
                rollout.features()[places],
                rollout.drawn("bev", np.arange(rows))[places],
            ]
        )
    return [np.stack(values, 1) for values in zip(*said)]


@pytest.fixture(scope="module")
def alone(shipped):
    return {dtype: future(shipped, 1, [0], dtype) for dtype in ("float32", "bfloat16")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "places", "dtype"),
    [
        (2, [0, 1], "float32"),
        (5, [0, 1, 2, 3, 4], "float32"),
        (16, [0, 5, 15], "float32"),
        (16, [0, 15], "bfloat16"),
        (37, [0, 36], "float32"),
        (256, [3, 255], "float32"),
    ],
)
def test_a_row_does_not_know_its_place(shipped, alone, rows, places, dtype):
    for one, many in zip(alone[dtype], future(shipped, rows, places, dtype)):
        for row in many:
            assert np.array_equal(one[0], row)


@pytest.mark.slow
def test_nor_does_one_of_a_newer_model(newer):
    alone = future(newer, 1, [0])
    for rows, places in ((5, [2]), (37, [0, 36]), (256, [3, 255])):
        for one, many in zip(alone, future(newer, rows, places)):
            for row in many:
                assert np.array_equal(one[0], row), rows


def test_nor_the_number_of_threads(shipped, alone):
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        for one, many in zip(alone["float32"], future(shipped, 64, [9, 63])):
            assert all(np.array_equal(one[0], row) for row in many)
    finally:
        torch.set_num_threads(before)
