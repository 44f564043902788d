"""The baselines are exact where the world keeps their promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.evaluation import baselines
from learned_sim_env.evaluation.windows import WindowReader, Windows
from learned_sim_env.spec import SemanticClass
from learned_sim_env.world_model.contexts import CONTEXT_STEPS
from learned_sim_env.world_model.geometry import integrate
from tests.evaluation.world import BEV, CONTRACT, PIXEL

T = 20


@pytest.fixture(scope="module")
def window(world: PackedData):
    """A window of each of the four long episodes, and the velocities of the movers."""
    reader, windows = WindowReader(world, T, CONTRACT.dt), Windows(np.arange(4), np.array([0, 3, 7, 11]))
    return reader.read(windows), reader.mover_velocities(windows)


def seen(t: int) -> np.ndarray:
    """Pixels that were in view at the end of the context, t steps before: (H, W) bool."""
    return np.arange(BEV.height)[:, None] >= np.full(BEV.width, t)


def test_warp_by_a_known_motion_is_exact() -> None:
    view = torch.from_numpy(np.random.default_rng(0).integers(1, 6, (1, 64, 64)).astype(np.uint8))
    motion = torch.tensor([[[2 * PIXEL, 0.0, 0.0], [0.0, 3 * PIXEL, 0.0], [0.0, 0.0, np.pi / 2], [0.0, 0.0, 0.0]]])
    ahead, left, turned, same = baselines.warp(view, motion, BEV)[0]
    off_road = SemanticClass.OFF_ROAD
    assert (ahead[2:] == view[0, :-2]).all() and (ahead[:2] == off_road).all()
    assert (left[:, 3:] == view[0, :, :-3]).all() and (left[:, :3] == off_road).all()
    # What was 5 pixels to the left is now 5 ahead.
    assert turned[BEV.ego_row - 5, BEV.ego_column] == view[0, BEV.ego_row, BEV.ego_column - 5]
    assert (same == view[0]).all()


def test_the_last_view_is_copied(window) -> None:
    batch, _ = window
    copies = baselines.copied(batch)
    assert copies.shape == (4, T, 64, 64)
    assert (copies == batch.observations["bev"][:, CONTEXT_STEPS - 1, None].numpy()).all()


def test_the_ground_is_where_the_true_motion_puts_it(window) -> None:
    batch, _ = window
    views, truth = baselines.moved(batch, BEV), batch.observations["bev"][:, CONTEXT_STEPS:].numpy()
    for t in range(T):
        still = (truth[:, t] < SemanticClass.VEHICLE) & (views[:, t] != SemanticClass.VEHICLE) & seen(t + 1)
        assert (views[:, t] == truth[:, t])[still].all()
        assert still.mean() > 0.6
        assert (views[:, t][:, ~seen(t + 1)] == SemanticClass.OFF_ROAD).all()
    assert not (views == SemanticClass.EGO).any()


def test_boxes_at_constant_velocity_are_exact_for_a_car_at_constant_velocity(window) -> None:
    batch, velocity = window
    np.testing.assert_allclose(velocity[:, 0], [[2 * PIXEL / CONTRACT.dt, 0.0]] * 4, atol=1e-4)
    views, truth = (
        baselines.drifted(batch, velocity, BEV, CONTRACT.dt),
        batch.observations["bev"][:, CONTEXT_STEPS:].numpy(),
    )
    assert (truth == SemanticClass.VEHICLE).any((2, 3)).all()
    for t in range(T):
        compared = (truth[:, t] != SemanticClass.EGO) & seen(t + 1)
        assert (views[:, t] == truth[:, t])[compared].all()


def test_constant_motion_is_exact_for_an_ego_at_constant_motion(window) -> None:
    batch, _ = window
    pose = baselines.constant_motion(batch).numpy()
    np.testing.assert_allclose(pose, batch.pose[:, CONTEXT_STEPS:].numpy(), atol=1e-3)
    np.testing.assert_allclose(pose[:, -1, 0], T * PIXEL, atol=1e-3)


def test_motions_are_integrated_each_in_the_frame_before_it() -> None:
    quarter = torch.tensor([1.0, 0.0, np.pi / 2]).expand(1, 4, 3)
    pose = integrate(quarter)[0]
    np.testing.assert_allclose(pose[:, :2], [[1, 0], [1, 1], [0, 1], [0, 0]], atol=1e-6)
