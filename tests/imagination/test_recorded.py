"""A step that is played back is the step that was recorded, bit for bit, whatever it is given."""

from __future__ import annotations

import copy
import gc
import weakref

import numpy as np
import pytest
import torch

from learned_sim_env.imagination import recorded
from learned_sim_env.imagination.recorded import played
from learned_sim_env.imagination.rollout import Rollout
from learned_sim_env.imagination.starts import Starts
from learned_sim_env.imagination.step import Step
from learned_sim_env.spec import CONTRACTS
from learned_sim_env.world_model.checkpoint import from_pretrained
from learned_sim_env.world_model.config import MODELS
from learned_sim_env.world_model.rssm import DrivingRSSM
from tests.toy_model import ToyModel

ROWS = 5


@pytest.fixture(scope="module")
def shipped():
    return from_pretrained("bev-rssm")


def small():
    return DrivingRSSM(MODELS["rssm-tiny"], CONTRACTS["driving"]).eval()


@pytest.fixture
def model():
    return small()


def arguments(model, rows=ROWS, seed=0):
    generator = torch.Generator().manual_seed(seed)
    action = 2 * torch.rand(rows, 2, generator=generator) - 1
    return model.initial(rows), action, torch.arange(rows) + seed, torch.arange(rows)


def drive(checkpoint, model, inference, temperature):
    """What 40 steps from different moments give, whose rows meet others, lose the road and see some of it anew."""
    rows = Rollout(model, ROWS, inference, temperature)
    starts = Starts(model, checkpoint.contexts, inference, True)
    rows.start(np.arange(ROWS), starts.from_contexts(np.arange(ROWS) * 7), np.arange(ROWS))
    rng, results = np.random.default_rng(0), []
    for t in range(40):
        step = rows.step(rng.uniform(-1, 1, (ROWS, 2)).astype(np.float32))
        rows.draw(np.arange(t % 3, ROWS))
        results.append(np.concatenate([step.ego, step.motion, step.terms, step.events, rows.features()], 1))
    return np.stack(results), rows.views(np.arange(ROWS))


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("reduced", [False, True])
def test_what_is_played_back_is_what_would_be_computed(shipped, inference, monkeypatch, temperature, reduced):
    model = shipped.model.in_bfloat16() if reduced else shipped.model
    played = drive(shipped, model, inference, temperature)
    assert model in recorded._recordings
    monkeypatch.setattr(DrivingRSSM, "static_graph", False)
    computed = drive(shipped, model, inference, temperature)
    assert all(np.array_equal(a, b) for a, b in zip(played, computed))


@torch.inference_mode()
def test_recorded_once_for_as_many_rows(model):
    def of(model, temperature=1.0, rows=ROWS, seed=0):
        return played(Step(model, temperature), arguments(model, rows, seed))

    first = of(model)
    assert of(model, seed=1) is first
    assert len({first, of(model, rows=3), of(model, 0.5), of(model, 0.0), of(copy.deepcopy(model))}) == 5
    for rows in range(10, 10 + recorded.KEPT):
        of(model, rows=rows)
    assert len(recorded._recordings[model]) == recorded.KEPT


@torch.inference_mode()
def test_weights_that_change_count(model):
    step, given = Step(model, 1.0), arguments(model)
    before = played(step, given)(*given)[0]["h"]
    model.latent.cell.project.weight.mul_(-1)
    after = played(step, given)(*given)[0]["h"]
    assert not torch.equal(before, after)
    assert torch.equal(after, step(*given)[0]["h"])


@torch.inference_mode()
def test_recordings_go_when_the_model_goes():
    model = small()
    played(Step(model, 1.0), arguments(model))
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


class Moody(ToyModel):
    """Does something else where any action is large."""

    def imagine(self, state, action, noise, temperature=1.0):
        state = super().imagine(state, action, noise, temperature)
        return {**state, "z": state["z"] + 10} if bool((action > 0.5).any()) else state


@torch.inference_mode()
def test_a_model_that_decides_is_not_recorded():
    model = Moody()
    given = arguments(model)
    step = played(Step(model, 1.0), given)
    for size, moved in ((0.0, 1.0), (0.9, 11.0), (0.1, 1.0)):
        assert step(given[0], torch.full((ROWS, 2), size), *given[2:])[0]["z"].tolist() == [moved] * ROWS


def test_a_model_in_training_is_not_recorded(model):
    assert model.static_graph
    assert not model.train().static_graph
