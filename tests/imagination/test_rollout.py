"""Rows of a rollout advance together and know nothing of each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.rollout import Rollout
from learned_sim_env.imagination.starts import Start, Starts
from learned_sim_env.spec import CONTRACTS
from learned_sim_env.world_model import traced as recorded
from learned_sim_env.world_model.checkpoint import from_pretrained
from learned_sim_env.world_model.rssm.config import SIZES
from learned_sim_env.world_model.rssm.map import decoder
from learned_sim_env.world_model.rssm.model import DrivingRSSM
from tests.toy_model import CRASH, NeuralToy, ToyContexts, ToyModel


@pytest.fixture(scope="module")
def shipped():
    return from_pretrained("bev-rssm")


def actions(rows, steps, seed=0):
    return np.random.default_rng(seed).uniform(-0.9, 0.9, (steps, rows, 2)).astype(np.float32)


def test_every_step_advances_every_row(rollout):
    rows = rollout(ToyModel(), [0, 3, 5], [1, 2, 3])
    for t, action in enumerate(actions(3, 6), 1):
        step = rows.step(action)
        assert step.ego[:, 0].tolist() == [t, 3 + t, 5 + t]
        assert step.motion[:, 0].tolist() == [t, 3 + t, 5 + t]
        assert np.array_equal(rows.features()[:, 0], step.ego[:, 0])
        assert np.array_equal(step.terms[:, 0], action[:, 1])  # the reward of this very action
        assert np.array_equal(step.ego[:, 2:4], action)
        assert rows.steps.tolist() == [t, t, t]


@given(st.lists(st.integers(0, 2**62), min_size=2, max_size=12), st.integers(0, 10))
def test_batch_size_and_order_do_not_matter(seeds, context):
    inference = Inference(torch.device("cpu"))

    def run(order):
        model = ToyModel(risk=0.3)
        rows = Rollout(model, len(order), inference)
        starts = Starts(model, ToyContexts(), inference)
        rows.start(
            np.arange(len(order)),
            starts.from_contexts(np.full(len(order), context)),
            np.array([seeds[i] for i in order]),
        )
        results = []
        for action in actions(len(seeds), 5):
            step = rows.step(action[order])
            results.append(np.concatenate([rows.features(), step.events, step.terms], 1))
        return np.stack(results, 1)

    together = run(list(range(len(seeds))))
    assert np.array_equal(run(list(range(len(seeds)))[::-1]), together[::-1])
    assert np.array_equal(run([1])[0], together[1])


def test_networks_agree_across_batch_sizes(rollout):
    many, one = rollout(NeuralToy(), [1] * 9, range(9)), rollout(NeuralToy(), [1], [4])
    for action in actions(9, 20):
        many.step(action)
        one.step(action[4:5])
    np.testing.assert_allclose(many.features()[4], one.features()[0], atol=1e-5)


def test_other_rows_do_not_change_a_bit(rollout):
    """Neither their actions nor their new starts."""
    calm, wild = (rollout(NeuralToy(), [1, 2, 3, 4], [5, 6, 7, 8]) for _ in range(2))
    starts = Starts(NeuralToy(), ToyContexts(), Inference(torch.device("cpu")))
    for t, action in enumerate(actions(4, 30)):
        other = np.where(np.arange(4)[:, None] == 2, action, -action)
        calm.step(action)
        wild.step(other)
        if t % 3 == 0:
            wild.start(np.array([0, 3]), starts.from_contexts(np.array([t, 30 - t])), np.array([t, t]))
        assert np.array_equal(calm.features()[2], wild.features()[2])
    assert wild.steps.tolist() == [2, 30, 30, 2]


def test_features_that_were_returned_stay_as_they_were(rollout):
    rows = rollout(NeuralToy(), [1, 2], [5, 6])
    rows.step(np.ones((2, 2), np.float32))
    found = rows.features()
    kept = found.copy()
    starts = Starts(NeuralToy(), ToyContexts(), Inference(torch.device("cpu")))
    rows.start(np.array([1]), starts.from_contexts(np.array([9])), 3)
    assert np.array_equal(found, kept)
    assert not np.array_equal(rows.features()[1], kept[1])


def test_seed_decides_chance(rollout):
    rows = rollout(ToyModel(), [1, 1, 1], [5, 6, 5])
    for action in np.zeros((10, 3, 2), np.float32):
        rows.step(action)
    wander = rows.features()[:, 1]
    assert wander[0] == wander[2] != wander[1]


def test_temperature_zero_takes_the_mode(rollout):
    rows = rollout(ToyModel(risk=0.4), [1, 1], [5, 6], temperature=0)
    for _ in range(50):
        step = rows.step(np.stack([CRASH, -0.5 + 0 * CRASH]))
        assert step.events.tolist() == [[True, False, False, False], [False, False, False, True]]
    assert rows.features()[:, 1].tolist() == [5, 5]


def test_events_happen_as_often_as_predicted(rollout):
    rows = rollout(ToyModel(risk=0.3), [0] * 500, range(500))
    steps = [rows.step(np.zeros((500, 2), np.float32)) for _ in range(20)]
    events = np.stack([step.events for step in steps])
    assert abs(events[..., 1].mean() - 0.3) < 0.02
    assert not events[..., [0, 2, 3]].any()
    assert np.array_equal(steps[-1].probabilities, np.tile(np.float32([0, 0.3, 0, 0]), (500, 1)))


def test_drawing_is_lazy_and_leaves_the_latent_alone(rollout):
    model = ToyModel()
    looked, blind = rollout(model, [0, 1, 2], [1, 2, 3]), rollout(ToyModel(), [0, 1, 2], [1, 2, 3])
    for action in actions(3, 4):
        looked.step(action), blind.step(action)
        looked.drawn("bev", np.array([1]))
        assert np.array_equal(looked.features(), blind.features())
    assert model.drawn == 4
    looked.drawn("bev", np.array([1]))
    assert model.drawn == 4, "nothing happened since it was drawn"
    views = looked.drawn("bev", np.arange(3))
    assert model.drawn == 5
    expected = looked.features()[:, :2].sum(1) % 9
    assert np.array_equal(views[:, 0, 0], expected)
    assert [looked.snapshot(i)["state"]["ink"] for i in range(3)] == [1, 4, 1]


def test_snapshot_and_start_repeat_the_future(rollout, inference):
    rows, other = rollout(NeuralToy(), [1, 2], [5, 6]), rollout(NeuralToy(), [7, 8], [1, 1])
    plan = actions(2, 20)
    for action in plan[:7]:
        rows.step(action)
    saved = rows.snapshot(1)
    other.start(
        np.array([1]), Start.from_snapshot(other.model, inference, saved, np.zeros(6)), saved["seed"], saved["step"]
    )
    for action in plan[7:]:
        assert np.array_equal(rows.step(action).events[1], other.step(action).events[1])
    assert np.array_equal(rows.features()[1], other.features()[1])
    assert saved["step"] == 7, "a snapshot shares nothing with what goes on"


def test_a_step_is_as_small_at_the_end_as_at_the_beginning(rollout):
    rows = rollout(NeuralToy(), [1, 2], [5, 6])
    sizes = {name: value.nbytes for name, value in rows.snapshot(0)["state"].items()}
    for action in actions(2, 500):
        rows.step(action)
    assert {name: value.nbytes for name, value in rows.snapshot(0)["state"].items()} == sizes


def test_negative_temperature(inference):
    for temperature in (-0.1, float("nan")):
        with pytest.raises(ValueError, match="temperature"):
            Rollout(ToyModel(), 1, inference, temperature)


def drive(checkpoint, model, inference, temperature):
    """What 40 steps from different moments give, whose rows meet others, lose the road and see some of it anew."""
    n = 5
    rows, starts = Rollout(model, n, inference, temperature), Starts(model, checkpoint.contexts, inference, ("bev",))
    rows.start(np.arange(n), starts.from_contexts(np.arange(n) * 7), np.arange(n))
    results = []
    for t, action in enumerate(actions(n, 40)):
        step = rows.step(action)
        rows.draw(("bev",), np.arange(t % 3, n))
        results.append(np.concatenate([step.ego, step.motion, step.terms, step.events, rows.features()], 1))
    return np.stack(results), rows.drawn("bev", np.arange(n))


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("reduced", [False, True])
def test_what_is_played_back_is_what_would_be_computed(shipped, inference, monkeypatch, temperature, reduced):
    model = shipped.model.in_bfloat16() if reduced else shipped.model
    played = drive(shipped, model, inference, temperature)
    assert {model, model.decoder} <= set(recorded._recordings)
    monkeypatch.setattr(DrivingRSSM, "static_graph", False)
    monkeypatch.setattr(decoder, "played", lambda module, method, arguments: getattr(module, method))
    computed = drive(shipped, model, inference, temperature)
    assert all(np.array_equal(a, b) for a, b in zip(played, computed))


def test_a_model_in_training_is_not_recorded():
    model = DrivingRSSM(SIZES["rssm-tiny"], CONTRACTS["driving"])
    assert not model.static_graph
    assert model.eval().static_graph


class Moody(ToyModel):
    """Does something else where any action is large."""

    def imagine(self, state, action, noise, temperature=1.0):
        state = super().imagine(state, action, noise, temperature)
        return {**state, "z": state["z"] + 10} if bool((action > 0.5).any()) else state


def test_a_model_that_decides_is_not_recorded(rollout):
    rows = rollout(Moody(), [0, 0], [1, 2])
    speeds = [rows.step(np.full((2, 2), size, np.float32)).ego[0, 0] for size in (0.0, 0.9, 0.1)]
    assert speeds == [1, 12, 13]
