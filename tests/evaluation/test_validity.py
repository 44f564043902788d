"""Free runs whose course is known: what is out of bounds, missing, not finite or unlike the data is found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.ladder import find_level
from learned_sim_env.evaluation.levels import LevelInputs
from learned_sim_env.evaluation.levels.validity.free_run import GROUPS, NOTHING, ValidityConfig, run_freely
from learned_sim_env.evaluation.levels.validity.validity import validity
from learned_sim_env.evaluation.levels.validity.view_contents import divergence_bits
from learned_sim_env.spec import Fingerprints
from tests.evaluation.small import small_checkpoint
from tests.toy_model import ToyModel, toy_checkpoint

CONFIG = ValidityConfig(contexts=4, steps=12, watched=2)


class Painter(ToyModel):
    """Shows views of `data`, or nothing but off-road."""

    def __init__(self, data: PackedData | None = None):
        super().__init__()
        self.data = data

    def draw(self, state, names):
        _, state = super().draw(state, ("bev",))
        if self.data is None:
            return {"bev": torch.zeros(len(state["z"]), 64, 64, dtype=torch.uint8)}, state
        row = (state["z"].long() * 37 + state["ink"] * 11) % len(self.data.arrays["bev"])
        return {"bev": torch.from_numpy(self.data.arrays["bev"][row.numpy()])}, state


class Breaking(ToyModel):
    """Rows of the group that drives at full lock forget their speed after the seventh step, for ever."""

    def imagine(self, state, action, noise, temperature=1.0):
        new = super().imagine(state, action, noise)
        broken = (state["ink"] > 100) | ((new["z"] >= 15) & (action.abs() == 1).all(1))
        return {**new, "ink": torch.where(broken, 200, new["ink"])}

    def decode(self, state):
        heads = super().decode(state)
        heads["ego"][state["ink"] > 100, 0] = torch.nan
        return heads

    def draw(self, state, names):
        assert (state["ink"] < 100).all(), "a row that is not finite was drawn"
        return super().draw(state, names)[0], state


def test_divergence_of_known_histograms() -> None:
    assert divergence_bits(np.array([1, 3, 0]), np.array([2, 6, 0])) == 0
    assert divergence_bits(np.array([1, 0, 0]), np.array([0, 5, 0])) == 1
    # One fair coin against one that always shows heads: 1 - 3/4 * log2(3) + 1/2.
    assert divergence_bits(np.array([1, 1]), np.array([1, 0])) == pytest.approx(1.5 - 0.75 * np.log2(3))
    assert np.isnan(divergence_bits(np.zeros(2), np.ones(2)))


def test_views_like_the_data_are_told_from_others(world: PackedData) -> None:
    alike = validity(toy_checkpoint(Painter(world)), world, CONFIG).values
    bare = validity(toy_checkpoint(Painter()), world, CONFIG).values
    assert alike["drawn_steps"] == [0, 1, 10, 12]
    for name in ("drawn at every step", "drawn now and then"):
        assert np.shape(alike["divergence_bits"][name]) == (3, 4)
        assert np.max(alike["divergence_bits"][name]) < 5 * alike["divergence_by_chance_bits"][name]["97.5%"] < 0.1
        assert np.min(bare["divergence_bits"][name]) > 0.1
        assert alike["road_share"][name][0] == pytest.approx([alike["road_share_of_data"]] * 4, abs=0.05)
        assert np.max(bare["road_share"][name]) == 0
    assert alike["ego_in_place"] == [1, 1, 1]
    assert bare["ego_in_place"] == [0, 0, 0]


def test_speeds_beyond_physics_are_counted(world: PackedData) -> None:
    # The toy's speed grows by 1 m/s a step from 0, 1, 2 and 3 m/s on, the data's is 7.5 m/s all the time.
    physics = validity(toy_checkpoint(contexts=4), world, CONFIG).values["physics"]
    for group in GROUPS:
        assert physics["speed [m/s]"][group]["largest"] == 15
        assert physics["speed [m/s]"][group]["beyond_data"] == pytest.approx((5 + 6 + 7 + 8) / 48, abs=1e-6)
        assert physics["acceleration [m/s^2]"][group]["largest"] == pytest.approx(10)
        assert physics["yaw rate [rad/s]"][group]["largest"] == 150
        assert physics["distance a step over time [m/s]"][group]["largest"] == 150
    assert physics["speed [m/s]"]["data"]["largest"] == 7.5
    assert physics["speed [m/s]"]["bound"] == 60
    assert physics["acceleration [m/s^2]"]["bound"] is None
    assert physics["distance a step over time [m/s]"]["data"]["largest"] == pytest.approx(7.5, abs=1e-4)


def test_what_is_not_finite_is_reported_and_never_drawn(world: PackedData) -> None:
    checkpoint = toy_checkpoint(Breaking())
    config = replace(CONFIG, steps=14)
    found = validity(checkpoint, world, config)
    # The rows start at 0, 0 + 10, 0 + 20 and 0 + 30 modulo 9, so that the last is the first to reach 15.
    assert found.values["not_finite_rows"] == [0, 0, 3]
    assert found.values["first_not_finite_step"] == [None, None, 12]
    assert ("rows with a value that is not finite", "0", "0", "3") in found.tables[0].rows
    run = run_freely(checkpoint, config)
    assert run.finite[10, 2].all() and run.finite[11, 2].tolist() == [True, True, True, False]
    assert (run.views[-1, 2, 1:] == NOTHING).all() and (run.views[-1, 2, 0] != NOTHING).all()
    json.dumps(found.values, allow_nan=False)


def test_groups_drive_as_they_are_called(world: PackedData) -> None:
    actions = []

    class Listening(ToyModel):
        def imagine(self, state, action, noise, temperature=1.0):
            actions.append(action.numpy().reshape(3, -1, 2))
            return super().imagine(state, action, noise)

    validity(toy_checkpoint(Listening()), world, replace(CONFIG, steps=60))
    random, expert, extreme = np.stack(actions, 1)
    assert (np.abs(extreme) == 1).all()
    assert {tuple(pair) for pair in extreme.reshape(-1, 2)} == {(-1, -1), (-1, 1), (1, -1), (1, 1)}
    assert 0.01 < (extreme[1:] != extreme[:-1]).any(-1).mean() < 0.1
    inside = np.abs(random) < 1
    assert inside.mean() > 0.6
    assert np.corrcoef(random[1:, :, 0].ravel(), random[:-1, :, 0].ravel())[0, 1] > 0.6
    # Faster than it wants to be, and faster every step, on a straight route.
    assert (expert[20:, :, 1] == -1).all() and (expert[..., 0] == 0).all()


def test_a_real_model_from_start_to_pictures(world: PackedData) -> None:
    checkpoint = small_checkpoint(world)
    part = validity(checkpoint, world, CONFIG)
    assert part.values["not_finite_rows"] == [0, 0, 0]
    assert part.values["ego_in_place"] == [1, 1, 1]
    # At the start all that is shown was just seen.
    start = [row[0] for row in part.values["divergence_bits"]["drawn now and then"]]
    assert max(start) < 0.02 and len(set(start)) == 1
    again = validity(checkpoint, world, CONFIG).values
    for values in (part.values, again):
        times = values.pop("step_seconds")
        assert times["early"] is None and times["late"] > 0 and times["ratio"] is None
    assert json.dumps(again, allow_nan=False) == json.dumps(part.values)
    (picture,) = part.pictures.values()
    assert picture.shape == (3 * 64, 4 * 64, 3) and picture.dtype == np.uint8
    for table in part.tables:
        assert all(len(row) == len(table.head) for row in table.rows)
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from matplotlib.figure import Figure

    figure = Figure()
    for draw in part.figures.values():
        draw(figure)
    assert len(figure.axes[0].lines) == 3 * 2 + 2


def test_times_are_compared_early_and_late(world: PackedData) -> None:
    times = validity(toy_checkpoint(), world, replace(CONFIG, steps=150)).values["step_seconds"]
    assert times["ratio"] == pytest.approx(times["late"] / times["early"], rel=1e-4)


def test_what_makes_no_sense_is_refused(world: PackedData) -> None:
    for name in ("contexts", "steps", "watched"):
        with pytest.raises(ValueError, match=name):
            ValidityConfig(**{name: 0})
    with pytest.raises(ValueError, match="less than the 2 contexts"):
        ValidityConfig(contexts=2, watched=2)
    with pytest.raises(ValueError, match="another task"):
        validity(toy_checkpoint(), replace(world, fingerprints=Fingerprints("0" * 64, {})), CONFIG)


def test_as_few_rows_as_are_asked_for_are_enough(world: PackedData, tmp_path: Path) -> None:
    level = find_level("validity")
    (part,) = level.measure(LevelInputs(toy_checkpoint(), world, tmp_path, free_rows=2, free_steps=3))
    assert part.name == "validity" and len(part.values["not_finite_rows"]) == len(GROUPS)
