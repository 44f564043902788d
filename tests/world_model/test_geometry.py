"""Rigid motions."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from learned_sim_env.scene import relative_motion, to_frame
from learned_sim_env.world_model.geometry import compose, points_from, relative, wrap

poses = st.tuples(st.floats(-50, 50), st.floats(-50, 50), st.floats(-3.1, 3.1)).map(
    lambda p: torch.tensor([p], dtype=torch.float64)
)


@given(poses, poses)
def test_relative_undoes_compose(frame, motion):
    back = relative(compose(frame, motion), frame)
    assert torch.allclose(back[:, :2], motion[:, :2], atol=1e-9)
    assert wrap(back[:, 2] - motion[:, 2]).abs() < 1e-9


@given(poses, poses)
def test_agrees_with_the_scenes_own_frames(frame, pose):
    points = points_from(torch.tensor([[[1.0, 2.0]]], dtype=torch.float64), pose)
    assert np.allclose(to_frame(points[0].numpy(), pose[0].numpy()), [[1.0, 2.0]], atol=1e-9)
    motion = relative_motion(frame[0].numpy(), pose[0].numpy())
    there = compose(frame, torch.from_numpy(motion)[None].double())
    assert torch.allclose(there[:, :2], pose[:, :2], atol=1e-4)
