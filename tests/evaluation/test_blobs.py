"""Blobs keep the velocity that the views show."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation.blobs import drifting_blobs
from learned_sim_env.evaluation.windows import WindowReader, Windows
from learned_sim_env.spec import SemanticClass
from learned_sim_env.world_model.contexts import CONTEXT_STEPS
from tests.evaluation.world import BEV, CONTRACT

T = 20


@pytest.fixture
def batch(world: PackedData):
    reader, windows = WindowReader(world, T, CONTRACT.dt), Windows(np.arange(4), np.array([0, 3, 7, 11]))
    return reader.read(windows)


def test_a_car_that_keeps_its_velocity_is_where_it_will_be(batch) -> None:
    views, truth = drifting_blobs(batch, BEV, CONTRACT.dt), batch.observations["bev"][:, CONTEXT_STEPS:].numpy()
    car = truth == SemanticClass.VEHICLE
    both, either = ((views == SemanticClass.VEHICLE) & car).sum(), ((views == SemanticClass.VEHICLE) | car).sum()
    assert both / either > 0.95


def test_a_car_that_appeared_just_now_stands_still(batch) -> None:
    batch.observations["bev"][:, : CONTEXT_STEPS - 1][
        batch.observations["bev"][:, : CONTEXT_STEPS - 1] == SemanticClass.VEHICLE
    ] = 1
    views = drifting_blobs(batch, BEV, CONTRACT.dt)
    # The ego moves by a pixel a step, towards what stands.
    now = batch.observations["bev"][0, CONTEXT_STEPS - 1].numpy() == SemanticClass.VEHICLE
    for t in range(5):
        assert ((views[0, t] == SemanticClass.VEHICLE) == np.roll(now, t + 1, axis=0)).all()


def test_nobody_in_view_is_nobody_later(batch) -> None:
    batch.observations["bev"][batch.observations["bev"] == SemanticClass.VEHICLE] = int(SemanticClass.ROAD)
    assert not (drifting_blobs(batch, BEV, CONTRACT.dt) >= SemanticClass.VEHICLE).any()
