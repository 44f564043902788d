"""What stands beside the road, as a list, and as pictures show it."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.scene import to_frame
from learned_sim_env.spec import CAMERAS, SCENERY_REACH, SceneryKind
from tests import scenes

pytest.importorskip("cv2", reason="drawing needs OpenCV, which the simulators' extras bring")

from learned_sim_env.rendering.camera import Appearance, CameraClass, CameraRenderer
from learned_sim_env.rendering.camera.scenery import BESIDE, scenery

ROAD = scenes.straight_road()
POSE = np.array([20.0, 3.5, 0.4])


def test_things_around_are_the_nearest_ones_ahead_beside_and_close_by():
    whole, around = scenery(ROAD), scenery(ROAD).around(POSE, 1000)
    x, y = to_frame(whole.poses[:, :2], POSE).T
    away, bearing = np.hypot(x, y), np.degrees(np.abs(np.arctan2(y, x)))
    wanted = (away < SCENERY_REACH) & (bearing < 110) | (away < BESIDE)
    assert 20 < len(around.kinds) == wanted.sum() < (away < SCENERY_REACH).sum()
    distances = np.hypot(*(around.poses[:, :2] - POSE[:2]).T)
    np.testing.assert_allclose(distances, np.sort(away[wanted]))
    few = scenery(ROAD).around(POSE, 7)
    for name in ("kinds", "poses", "sizes", "looks"):
        assert np.array_equal(getattr(few, name), getattr(around, name)[:7])


def test_kinds_have_their_sizes():
    found = scenery(ROAD)
    there = {SceneryKind(kind).name: found.sizes[found.kinds == kind, 2] for kind in set(found.kinds)}
    bounds = {"TREE": (5.5, 11), "CONIFER": (7, 14), "BUSH": (1, 2), "HOUSE": (5.5, 8.5), "BLOCK": (10, 24)}
    bounds |= {"LAMP": (7, 8), "POST": (1, 1)}
    assert len(there) >= 5 and all(b[0] <= h.min() and h.max() <= b[1] for n, h in there.items() for b in [bounds[n]])


@pytest.mark.parametrize("x", [-60.0, 0.0, 60.0])
def test_pictures_show_scenery_where_it_is_listed(x):
    """Each pixel of scenery, taken back into space, is within the outline of a thing of the list, and below its top."""
    images = CameraRenderer().images(scenes.scene(ROAD, x=x), Appearance.named("clear", 1))
    things = scenery(ROAD).around(np.array([x, 0.0, 0.0]), 1000)
    shown = np.zeros(len(things.kinds), int)
    for name, camera in CAMERAS.items():
        image = images[name]
        rows, columns = np.nonzero((image.classes == CameraClass.SCENERY) & (image.depth < 50))
        assert len(rows) > 50
        points = np.array(camera.position) + camera.rays(rows + 0.75, columns + 0.75) * image.depth[rows, columns, None]
        local = to_frame(points[:, None, :2] + [x, 0.0], things.poses)
        # The arms of lamps reach over the road.
        reach = np.where(things.kinds == SceneryKind.LAMP, 2.5, 0.6)
        beyond = np.abs(local).max(-1) - things.sizes[:, :2].max(-1) / 2
        inside = (beyond < reach) & (points[:, None, 2] < things.sizes[:, 2] + 0.3)
        # At the edge of a face that is seen from the side, depths are of its plane beyond it.
        assert inside.any(1).mean() > 0.99
        shown += inside.sum(0)
    # What stands in sight of the cameras and near is shown.
    near = np.hypot(*(things.poses[:, :2] - [x, 0.0]).T) < 30
    front = np.abs(np.arctan2(*(things.poses[:, 1::-1] - [0.0, x]).T)) < np.radians(80)
    assert (shown[near & front] > 0).mean() > 0.7
