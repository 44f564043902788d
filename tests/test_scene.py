"""Frames and motions: what a pose sees, and how one gets from a pose to the next."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learned_sim_env.scene import Agents, relative_motion, to_frame, wrap_angle
from tests.scenes import ego

METRES = st.floats(-500, 500)
POINTS = st.tuples(METRES, METRES).map(np.array)
POSES = st.tuples(METRES, METRES, st.floats(-10, 10)).map(np.array)


def compose(pose: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """The pose reached from `pose` by `motion` in its frame."""
    c, s = np.cos(pose[2]), np.sin(pose[2])
    return pose + np.array([c * motion[0] - s * motion[1], s * motion[0] + c * motion[1], motion[2]])


@given(POSES)
def test_a_pose_sees_itself_at_the_origin(pose):
    assert to_frame(pose[:2], pose) == pytest.approx([0, 0])


def test_forward_is_x_and_left_is_y():
    north = np.array([10.0, 20.0, np.pi / 2])
    assert to_frame(np.array([10.0, 25.0]), north) == pytest.approx([5, 0])
    assert to_frame(np.array([7.0, 20.0]), north) == pytest.approx([0, 3])


@given(POINTS, POINTS, POSES)
def test_distances_are_the_same_in_every_frame(a, b, pose):
    seen = to_frame(a, pose) - to_frame(b, pose)
    assert np.hypot(*seen) == pytest.approx(np.hypot(*(a - b)), abs=1e-6)


@given(st.lists(POINTS, min_size=1, max_size=4), POSES)
def test_points_are_seen_one_by_one(points, pose):
    together = to_frame(np.array(points), pose)
    assert np.array_equal(together, np.array([to_frame(p, pose) for p in points]))
    every = np.broadcast_to(pose, (len(points), 3))
    assert np.array_equal(together, to_frame(np.array(points), every))


@given(st.floats(-1e4, 1e4))
def test_wrapped_angles_point_the_same_way(angle):
    wrapped = wrap_angle(angle)
    assert -np.pi <= wrapped <= np.pi
    assert np.exp(1j * wrapped) == pytest.approx(np.exp(1j * angle), abs=1e-6)


@given(POSES, st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.floats(-3, 3)).map(np.array))
def test_relative_motion_leads_from_one_pose_to_the_next(before, motion):
    found = relative_motion(before, compose(before, motion))
    assert found.dtype == np.float32
    assert found == pytest.approx(motion, abs=1e-4)


@given(POSES)
def test_standing_still_is_no_motion(pose):
    assert relative_motion(pose, pose) == pytest.approx([0, 0, 0])


@given(POSES, POSES, POSES)
def test_relative_motion_does_not_depend_on_where_the_world_begins(before, after, origin):
    def seen(pose):
        return np.array([*to_frame(pose[:2], origin), pose[2] - origin[2]])

    here, there = relative_motion(before, after), relative_motion(seen(before), seen(after))
    assert here[:2] == pytest.approx(there[:2], abs=1e-3)
    assert np.exp(1j * here[2]) == pytest.approx(np.exp(1j * there[2]), abs=1e-5)


def test_the_short_way_round():
    before, after = np.array([0.0, 0.0, 3.1]), np.array([0.0, 0.0, -3.1])
    assert relative_motion(before, after)[2] == pytest.approx(2 * np.pi - 6.2, abs=1e-6)


def test_ego_pose_and_speed():
    e = ego(1.0, 2.0, 0.5, velocity=(3.0, -4.0))
    assert e.pose.tolist() == [1.0, 2.0, 0.5]
    assert e.speed == 5.0


def test_no_agents():
    nobody = Agents.none()
    assert len(nobody) == 0
    shapes = [a.shape for a in (nobody.ids, nobody.classes, nobody.poses, nobody.sizes, nobody.velocities)]
    assert shapes == [(0,), (0,), (0, 3), (0, 2), (0, 2)]
