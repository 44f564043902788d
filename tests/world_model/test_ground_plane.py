"""What cameras see after the ego has moved over the ground plane; `test_cameras` looks at whole pictures of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.spec import CameraSpec
from learned_sim_env.world_model.ground_plane import GroundPlane

CAMERAS = [CameraSpec(), CameraSpec(yaw=60.0, position=(0.5, 0.3, 1.7)), CameraSpec(yaw=-60.0, pitch=-10.0)]


@pytest.mark.parametrize("camera", CAMERAS)
def test_places_are_those_of_the_same_points_projected_before(camera: CameraSpec) -> None:
    """A place on the ground, and a direction above the horizon, by the camera's own rays and projection."""
    pose = np.array([1.3, -0.2, 0.15])
    places, held = GroundPlane([camera]).places_before(torch.from_numpy(pose))
    c, s = np.cos(pose[2]), np.sin(pose[2])
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    middle, seen = np.array(camera.position), 0
    for row, column in ((60, 20), (50, 48), (40, 80), (5, 30), (10, 70)):
        ray = camera.rays(np.array(row + 0.5), np.array(column + 0.5))
        if ray[2] < 0:
            point = turn @ (middle + ray * middle[2] / -ray[2]) + np.array([pose[0], pose[1], 0])
        else:
            point = middle + turn @ ray
        there = [float(x) for x in camera.project(point)]
        inside = there[2] > 0 and 0 <= there[0] <= camera.height and 0 <= there[1] <= camera.width
        assert bool(held[0, row, column]) == inside
        seen += inside
        if inside:
            expected = [2 * there[1] / camera.width - 1, 2 * there[0] / camera.height - 1]
            np.testing.assert_allclose(places[0, row, column], expected, atol=1e-5)
    assert seen >= 3


def test_a_turn_moves_the_horizon_by_its_angle() -> None:
    """The middle of the picture was 10 degrees to the left of it before a turn to the left by as much."""
    camera = CameraSpec(height=65, width=97)
    places, _ = GroundPlane([camera]).places_before(torch.tensor([0.0, 0.0, np.radians(10)]))
    assert places[0, 32, 48, 0] == pytest.approx(-np.tan(np.radians(10)) / np.tan(np.radians(35)), abs=1e-6)
    assert places[0, 32, 48, 1] == pytest.approx(0, abs=1e-6)


def test_cameras_together_are_the_same_as_alone() -> None:
    torch.manual_seed(0)
    frames = torch.randint(256, (2, 3, 64, 96, 3), dtype=torch.uint8)
    pose = torch.tensor([[1.0, 0.1, -0.1], [2.0, 0.0, 0.05]])
    together = GroundPlane(CAMERAS).moved(frames, pose)
    for k, camera in enumerate(CAMERAS):
        assert torch.equal(GroundPlane([camera]).moved(frames[:, k : k + 1], pose), together[:, k : k + 1])


def test_cameras_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="one size"):
        GroundPlane([CameraSpec(), CameraSpec(width=64)])
