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
    Fingerprints,
    Modality,
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
    assert box.shape == (len(EGO_FIELDS),) == (len(CONTRACT.modality("ego").bounds),)
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


# The hash over all of the first contract, which files of that time hold.
EARLIER = "ab7955c44586203843d12e0197353327a2abe2f472b902f1d69e86d3b6351c42"


def changed(value):
    """The same dataclass with one field, however deep, changed; each of them once."""
    for field in fields(value):
        old = getattr(value, field.name)
        if hasattr(old, "__dataclass_fields__"):
            news = list(changed(old))
        elif isinstance(old, tuple):
            news = [(*old[:i], old[i] + 1, *old[i + 1 :]) for i in range(len(old)) if not isinstance(old[i], str)]
        elif isinstance(old, str) or old is None:
            continue
        else:
            news = [old + 1]
        for new in news:
            yield replace(value, **{field.name: new})


def test_the_fingerprint_of_a_task_tells_any_two_apart():
    task = replace(CONTRACT, modalities=(), observation=())
    others = list(changed(task))
    assert len(others) > 12
    assert len({c.task_fingerprint() for c in (task, *others)}) == len(others) + 1


def test_a_task_is_the_same_whatever_is_shown():
    assert CONTRACTS["driving-camera"].task_fingerprint() == CONTRACT.task_fingerprint()


@pytest.mark.parametrize("modality", CONTRACTS["driving-camera"].modalities, ids=lambda m: m.name)
def test_the_fingerprint_of_a_modality_tells_any_two_apart(modality):
    geometry = modality.bev or modality.camera
    kind = "bev" if modality.bev else "camera"
    others = [replace(modality, bounds=tuple(b + 1 for b in modality.bounds))] if modality.bounds else []
    if geometry is not None:
        # Another size is another shape, which is told apart anyway.
        same_size = [g for g in changed(geometry) if (g.height, g.width) == (geometry.height, geometry.width)]
        others += [replace(modality, **{kind: g}) for g in same_size]
    assert others
    assert len({m.fingerprint() for m in (modality, *others)}) == len(others) + 1


def test_the_fingerprint_covers_what_the_numbers_mean(monkeypatch):
    before = CONTRACT.fingerprints().modalities
    monkeypatch.setattr("learned_sim_env.spec.classes.PALETTE", PALETTE[::-1])
    after = CONTRACT.fingerprints().modalities
    assert {name for name in before if before[name] != after[name]} == {"bev"}


def test_a_modality_more_makes_nothing_invalid():
    more = replace(CONTRACT, modalities=(*CONTRACT.modalities, Modality("rear", "rgb", (8, 8, 3))))
    more.check("what was there before", CONTRACT.fingerprints())


def test_what_was_written_with_one_hash_is_still_valid():
    CONTRACT.check("a file", Fingerprints.parse(EARLIER))
    CONTRACT.check("a file", Fingerprints.parse(EARLIER), ("bev", "ego"))
    with pytest.raises(ValueError, match=r"a file has no modality 'route': it has bev, ego"):
        CONTRACT.check("a file", Fingerprints.parse(EARLIER), ("route",))


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_fingerprints_can_be_written_and_read(contract):
    found = contract.fingerprints()
    assert Fingerprints.parse(str(found)) == Fingerprints.parse(found.to_dict()) == found


@pytest.mark.parametrize("written", ["", "0" * 64, "bev=" + "0" * 64, None, 3, {}, {"task": "0"}])
def test_what_is_no_fingerprint_is_refused(written):
    with pytest.raises(ValueError, match="is no fingerprint of a contract that this package knows"):
        Fingerprints.parse(written)


def test_what_was_made_for_something_else_is_refused():
    faster = replace(CONTRACT, dt=0.05)
    with pytest.raises(ValueError, match=r"the data was made for another task \(\w{12}\) than contract 'driving'"):
        CONTRACT.check("the data", faster.fingerprints())
    ego, *others = (m for m in CONTRACT.modalities if m.name in ("ego", "bev"))
    other = replace(CONTRACT, modalities=(replace(ego, bev=None), *others)) if ego.bev else CONTRACT
    with pytest.raises(ValueError, match=r"the data has another 'bev' \(\w{12}\) than contract 'driving'"):
        CONTRACT.check("the data", other.fingerprints())


def test_modalities_that_cannot_be_are_refused():
    for settings, message in (
        ({"kind": "rgb", "shape": (4, 4)}, r"of kind 'rgb' cannot have the shape \(4, 4\)"),
        ({"kind": "classes", "shape": (4, 4), "bev": BevSpec()}, "of kind 'classes' cannot have the shape"),
        ({"kind": "vector", "shape": (3,), "fields": ("a",), "bounds": (1.0,)}, "needs 3 fields and bounds"),
    ):
        with pytest.raises(ValueError, match=message):
            Modality("odd", **settings)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_observations_have_the_modalities_asked_for(contract):
    names = [m.name for m in contract.modalities]
    space = contract.observation_space("dict", names=names)
    assert set(space) == set(names)
    assert set(contract.observation_space()) == set(contract.observation)
    for name in names:
        assert contract.observation_space(name) == space[name]
        space[name].seed(0)
        assert contract.modality(name).picture_space.contains(space[name].sample())
    with pytest.raises(ValueError, match=r"unknown modality of contract '[\w-]+': 'fron'\."):
        contract.observation_space("dict", names=["fron"])
    with pytest.raises(ValueError, match=r"modalities is 'bev', a text: give several names, as in \('bev',\)"):
        contract.observation_space("dict", names="bev")
    with pytest.raises(ValueError, match=r"modalities is empty: give some of .*ego"):
        contract.observation_space("dict", names=())
    with pytest.raises(ValueError, match=r"modalities belong to obs_type 'dict' or 'classes', not to 'ego'"):
        contract.observation_space("ego", names=("bev",))


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
