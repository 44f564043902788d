"""The check that users run on their own models: it passes those that are right, and finds each thing that is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from learned_sim_env.spec import CONTRACTS
from learned_sim_env.world_model.checkpoint import from_pretrained
from learned_sim_env.world_model.conformance import check_world_model
from learned_sim_env.world_model.lstm import SIZES, DrivingLSTM
from learned_sim_env.world_model.registry import model_of_size
from tests.toy_model import NeuralToy, ToyCameraModel, ToyModel


class Toy(ToyModel):
    """The toy with all that the protocol asks for."""

    def in_bfloat16(self):
        return self


class Neural(NeuralToy):
    def in_bfloat16(self):
        return self


@pytest.mark.parametrize(
    ("size", "contract"),
    [("lstm-tiny", "driving"), ("lstm-small", "driving"), ("lstm-camera-tiny", "driving-camera")],
)
def test_the_lstm_conforms(size, contract):
    check_world_model(model_of_size(size, CONTRACTS[contract]).eval(), exact=True)


def test_the_rssm_conforms(model):
    check_world_model(model)
    check_world_model(from_pretrained("bev-rssm").model, exact=True)


def test_toys_conform():
    check_world_model(Toy(), exact=True)
    check_world_model(Neural())
    check_world_model(ToyCameraModel(), exact=True)


class Forgetful(Toy):
    """Changes what it is given."""

    def imagine(self, state, action, noise, temperature=1.0):
        state["z"] += 1
        return super().imagine(state, action, noise)


class Restless(Toy):
    """Has a chance of its own."""

    def imagine(self, state, action, noise, temperature=1.0):
        return {**super().imagine(state, action, noise), "z": state["z"] + torch.rand(len(action))}


class Undecided(Toy):
    """Leaves the mode to chance."""

    def imagine(self, state, action, noise, temperature=1.0):
        return super().imagine(state, action, torch.rand(len(action), 2) if noise is None else noise)


class Doubtful(Toy):
    """Observes by chance."""

    def observe(self, state, action, observation):
        return {**super().observe(state, action, observation), "z": torch.rand(len(action))}


class Gregarious(Toy):
    """Its rows know of each other."""

    def decode(self, state):
        heads = super().decode(state)
        return {**heads, "terms": heads["terms"] + heads["ego"].mean()}


class Vain(Toy):
    """Is another when it was looked at."""

    def draw(self, state, names):
        shown, state = super().draw(state, names)
        return shown, {**state, "z": state["z"] + 1}


class Lazy(Toy):
    """Draws whatever it likes."""

    def draw(self, state, names):
        shown, state = super().draw(state, names)
        return {**shown, "route": shown["bev"]}, state


class Coarse(Toy):
    def draw(self, state, names):
        shown, state = super().draw(state, names)
        return {"bev": shown["bev"].float()}, state


class Growing(Toy):
    """Its state is another after a step."""

    def imagine(self, state, action, noise, temperature=1.0):
        return {**super().imagine(state, action, noise), "more": state["z"]}


class Boastful(Toy):
    def decode(self, state):
        heads = super().decode(state)
        return {**heads, "events": heads["events"] + 2}


class Silent(Toy):
    def decode(self, state):
        heads = super().decode(state)
        del heads["uncertainty"]
        return heads


class Blind(Toy):
    observes = ("bev",)


class Ambitious(Toy):
    draws = ("front",)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Forgetful, "imagine changes the state that it is given: 'z' differs"),
        (Restless, "imagine has another source of chance than `noise`: 'z' differs"),
        (Undecided, "imagine involves chance without noise: 'wander' differs"),
        (Doubtful, "observe involves chance: 'z' differs"),
        (Gregarious, r"'terms' of rows \[0\], observed, depends on the rows beside them"),
        (Vain, "drawing again gives another picture: 'bev' differs"),
        (Lazy, r"draw was asked for \('bev',\), and gives \('bev', 'route'\)"),
        (Coarse, "draw gives 'bev' as float32 of shape"),
        (Growing, r"imagine gives a state of \['action', 'ink', 'more', 'wander', 'z'\]"),
        (Boastful, "'events' that are no probabilities"),
        (Silent, "decode gives .*, and should .*'uncertainty'"),
        (Blind, "'ego' must be among them"),
        (Ambitious, "draws has 'front', which the contract has not: bev, ego, route"),
    ],
)
def test_what_is_not_as_the_protocol_says_is_found(kind, message):
    with pytest.raises(ValueError, match=message):
        check_world_model(kind())


def test_rounding_is_found_where_none_is_wanted():
    class Rounding(Toy):
        def decode(self, state):
            heads = super().decode(state)
            return {**heads, "motion": heads["motion"] * (1 + 1e-6 * len(heads["motion"]))}

    check_world_model(Rounding())
    with pytest.raises(ValueError, match=r"'motion' of rows \[0\], imagined, depends on the rows beside them"):
        check_world_model(Rounding(), exact=True)


class Ageing(DrivingLSTM):
    """Turns a number of its state into one of Python's, which a recording takes for a constant."""

    def initial(self, batch_size):
        return {**super().initial(batch_size), "age": torch.zeros(batch_size)}

    def imagine(self, state, action, noise, temperature=1.0):
        state = super().imagine(state, action, noise, temperature)
        return {**state, "age": state["age"] + 1, "h": state["h"] / (1 + float(state["age"][0]))}


def test_a_graph_that_is_not_static_is_found():
    with pytest.raises(ValueError, match="static_graph is True, but imagine played back gives something else: 'h'"):
        check_world_model(Ageing(SIZES["lstm-tiny"], CONTRACTS["driving"]).eval())


def test_a_model_in_training_mode_is_refused():
    with pytest.raises(ValueError, match=r"call its eval\(\)"):
        check_world_model(model_of_size("lstm-tiny", CONTRACTS["driving"]))


def test_the_page_that_tells_users_of_it_runs():
    page = Path(__file__).parents[2] / "docs" / "add_your_own_world_model.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    checks = [block for block in blocks if "check_world_model" in block]
    assert len(checks) == 1
    exec(checks[0], {})
