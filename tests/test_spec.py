"""The contract: spaces, discrete actions, palette, and a fingerprint that tells one contract from another."""

from __future__ import annotations

from dataclasses import fields, replace

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learned_sim_env.spec import (
    ACTION_TYPES,
    CONTRACTS,
    COST_TERMS,
    DISCRETE_ACTIONS,
    EGO_FIELDS,
    NUM_CLASSES,
    NUM_MAP_CLASSES,
    OBS_TYPES,
    PALETTE,
    REWARD_TERMS,
    TERMINATIONS,
    BevSpec,
    Contract,
    SemanticClass,
    unknown,
)

CONTRACT = CONTRACTS["driving"]


@pytest.mark.parametrize("obs_type", OBS_TYPES)
def test_observation_spaces_hold_their_samples(obs_type):
    space = CONTRACT.observation_space(obs_type, latent_size=7)
    space.seed(0)
    sample = space.sample()
    assert sample in space
    vector = {"flat": 110, "latent": 7}.get(obs_type)
    if vector is None:
        image = sample if isinstance(sample, np.ndarray) else next(v for k, v in sample.items() if k != "ego")
        assert (image.dtype, image.shape[:2]) == (np.uint8, (64, 64))
        assert (obs_type in ("dict", "bev")) == (image.shape[2:] == (3,))
    else:
        assert (sample.dtype, sample.shape) == (np.float32, (vector,))


def test_the_ego_box_has_a_bound_a_field():
    box = CONTRACT.observation_space()["ego"]
    assert box.dtype == np.float32
    assert box.shape == (len(EGO_FIELDS),) == (len(CONTRACT.ego_bounds),)
    assert box.low[EGO_FIELDS.index("speed")] == 0
    assert (box.high > 0).all()
    assert np.array_equal(box.low[1:], -box.high[1:])


@pytest.mark.parametrize("action_type", ACTION_TYPES)
def test_action_spaces_hold_their_samples(action_type):
    space = CONTRACT.action_space(action_type)
    space.seed(0)
    assert space.sample() in space


def test_continuous_actions_are_normalised():
    assert CONTRACT.action_space() == gym.spaces.Box(-1.0, 1.0, (2,), np.float32)


def test_discrete_actions_are_think2drives():
    """As in the paper's table: full brake, then three throttles with their steering angles, right before left."""
    steer, throttle_brake = DISCRETE_ACTIONS.T
    assert CONTRACT.action_space("discrete").n == len(DISCRETE_ACTIONS) == 30
    assert DISCRETE_ACTIONS.dtype == np.float32
    assert DISCRETE_ACTIONS[0].tolist() == [0.0, -1.0]
    for throttle, first, last, magnitudes in (
        (0.7, 1, 9, (0.1, 0.2, 0.3, 0.5)),
        (0.3, 10, 20, (0.1, 0.2, 0.3, 0.5, 0.7)),
        (0.0, 21, 29, (0.1, 0.3, 0.6, 1.0)),
    ):
        rows = slice(first, last + 1)
        assert (throttle_brake[rows] == np.float32(throttle)).all()
        expected = sorted([0.0, *magnitudes, *(-m for m in magnitudes)])
        assert np.array_equal(np.sort(steer[rows]), np.array(expected, np.float32))
    assert len(np.unique(DISCRETE_ACTIONS, axis=0)) == 30


@pytest.mark.parametrize("table", [DISCRETE_ACTIONS, PALETTE])
def test_shared_tables_cannot_be_changed(table):
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 1


def test_every_class_has_a_colour_of_its_own():
    assert (PALETTE.shape, PALETTE.dtype) == ((NUM_CLASSES, 3), np.uint8)
    assert len(np.unique(PALETTE, axis=0)) == NUM_CLASSES


def test_map_classes_come_before_agents():
    agents = {SemanticClass.STATIC_OBJECT, SemanticClass.VEHICLE, SemanticClass.PEDESTRIAN, SemanticClass.EGO}
    assert set(SemanticClass) - agents == {SemanticClass(i) for i in range(NUM_MAP_CLASSES)}
    assert max(SemanticClass) == SemanticClass.EGO


def test_terms_that_end_or_cost_are_reward_terms_too():
    assert set(TERMINATIONS) <= set(REWARD_TERMS)
    assert len(set(REWARD_TERMS)) == len(REWARD_TERMS)
    assert len(set(COST_TERMS)) == len(COST_TERMS)


def changed(value):
    """The same dataclass with one field, however deep, changed; each of them once."""
    for field in fields(value):
        old = getattr(value, field.name)
        if hasattr(old, "__dataclass_fields__"):
            news = list(changed(old))
        elif isinstance(old, str):
            news = [old + "x"]
        elif isinstance(old, tuple):
            news = [(*old[:i], old[i] + 1, *old[i + 1 :]) for i in range(len(old))]
        else:
            news = [old + 1]
        for new in news:
            yield replace(value, **{field.name: new})


def test_the_fingerprint_tells_any_two_contracts_apart():
    contracts = [CONTRACT, *changed(CONTRACT)]
    assert len(contracts) > 20
    assert len({c.fingerprint() for c in contracts}) == len(contracts)


def test_the_fingerprint_of_equal_contracts_is_equal():
    assert Contract().fingerprint() == Contract().fingerprint()


def test_the_fingerprint_covers_what_the_numbers_mean(monkeypatch):
    before = CONTRACT.fingerprint()
    monkeypatch.setattr("learned_sim_env.spec.PALETTE", PALETTE[::-1])
    assert CONTRACT.fingerprint() != before


@pytest.mark.parametrize("bev", [BevSpec(), BevSpec(20, 31, metres_per_pixel=0.5, ego_row=15, ego_column=3)])
def test_pixel_centres(bev):
    centres = bev.pixel_centres()
    assert (centres.shape, centres.dtype) == ((bev.height, bev.width, 2), np.float32)
    assert centres[bev.ego_row, bev.ego_column].tolist() == [0, 0]
    m = bev.metres_per_pixel
    assert centres[bev.ego_row - 2, bev.ego_column].tolist() == [2 * m, 0], "up is forward"
    assert centres[bev.ego_row, bev.ego_column - 3].tolist() == [0, 3 * m], "left is left"


def test_unknown_names_are_refused_with_the_nearest_one():
    with pytest.raises(ValueError, match=r"unknown obs_type 'semantics'\. Did you mean 'semantic'\? Known: dict, "):
        CONTRACT.observation_space("semantics")
    with pytest.raises(ValueError, match=r"unknown action_type 'discret'\. Did you mean 'discrete'\?"):
        CONTRACT.action_space("discret")


@given(st.text(), st.lists(st.text(min_size=1), max_size=5))
def test_unknown_names_the_value_and_all_that_is_known(value, known):
    message = str(unknown("thing", value, known))
    assert repr(value) in message
    assert all(name in message for name in known)
