"""The cameras' geometry as tensors, against calibrations and against what the renderer draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from learned_sim_env.scene import to_frame
from learned_sim_env.spec import BevSpec, CameraSpec
from learned_sim_env.world_model.rssm.camera.painting.ground_look import ground_look
from learned_sim_env.world_model.rssm.camera.painting.rig import Band, Rig
from learned_sim_env.world_model.rssm.camera.perception.look_ups import LookUps
from learned_sim_env.world_model.rssm.map.memory import MapMemory
from tests import scenes
from tests.world_model.rssm.camera.street import DAY, RIG, pictures

pytest.importorskip("cv2", reason="drawing needs OpenCV, which the simulators' extras bring")

from learned_sim_env.rendering.bev import BevRenderer
from learned_sim_env.rendering.camera import CameraClass, CameraRenderer

BEV = BevSpec()


def test_rays_are_those_of_the_calibration():
    cameras = [CameraSpec(yaw=20, pitch=-8, position=(1.0, 0.2, 1.3)), CameraSpec(yaw=-100, pitch=5)]
    rig = Rig(cameras)
    rows, columns = np.mgrid[0:64, 0:96] + 0.5
    for rays, origins, camera in zip(rig.rays.chunk(2), rig.origins.chunk(2), cameras, strict=True):
        np.testing.assert_allclose(rays, camera.rays(rows, columns).reshape(-1, 3), atol=1e-6)
        np.testing.assert_allclose(origins[0], camera.position, rtol=1e-6)
    # Each ray of a ground pixel ends on the ground.
    ends = rig.origins[rig.ground] + rig.rays[rig.ground] * rig.ground_depth[:, None]
    assert ends[:, 2].abs().max() < 1e-3
    assert torch.allclose(ends[:, :2], rig.places, atol=1e-3)


def test_points_appear_where_the_calibration_projects_them():
    cameras = [CameraSpec(yaw=20, pitch=-8, position=(1.0, 0.2, 1.3)), CameraSpec(yaw=-100, pitch=5)]
    rig, points = Rig(cameras), np.random.default_rng(0).uniform(-30, 30, (400, 3)) * (1, 1, 0.1)
    where, inside = rig.appear(torch.from_numpy(points.T).float())
    where = where.T
    assert 20 < inside.sum() < 380
    for number, camera in enumerate(cameras):
        mine = inside & (where[:, 1] // 64 == number)
        row, column, depth = camera.project(points[mine])
        assert mine.any() and (depth > 0).all()
        expected = np.stack([column.clip(0.5, 95.5), row.clip(0.5, 63.5) + 64 * number], -1)
        np.testing.assert_allclose(where[mine], expected, atol=2e-3)
    # What appears in no camera is in none by the calibrations either, but where another looks more towards it.
    for camera in cameras:
        row, column, depth = camera.project(points[~inside])
        azimuth = np.degrees(np.arctan2(points[~inside][:, 1], points[~inside][:, 0]))
        nearest = [abs((azimuth - c.yaw + 180) % 360 - 180) for c in cameras]
        chosen = np.array(cameras)[np.argmin(nearest, 0)] == camera
        shown = (depth > 0.05) & (row > 0) & (row < 64) & (column > 0) & (column < 96)
        assert not (shown & chosen).any()


def test_cameras_of_a_rig_have_one_size():
    with pytest.raises(ValueError, match="one size"):
        Rig([CameraSpec(), CameraSpec(width=48)])


def test_look_ups_are_bilinear():
    camera, rng = CameraSpec(yaw=10), np.random.default_rng(0)
    points = np.column_stack([rng.uniform(2, 30, 300), rng.uniform(-25, 25, 300), rng.uniform(0, 1, 300)])
    look_ups, features = LookUps([camera], points, 2), torch.randn(2, 1, 5, 32, 48)
    row, column, depth = camera.project(points)
    grid = torch.from_numpy(np.stack([column / 48 - 1, row / 32 - 1], -1)).float()[None, None]
    expected = F.grid_sample(features[:, 0], grid.expand(2, -1, -1, -1), align_corners=False, padding_mode="border")[
        :, :, 0
    ]
    shown = (abs(grid) < 1).all(-1)[0, 0]
    assert torch.equal(look_ups.seen, shown) and 50 < shown.sum() < 300
    found = look_ups(features).permute(1, 2, 0)
    assert torch.allclose(found[..., shown], expected[..., shown], atol=1e-4)
    assert not found[..., ~shown].any()
    np.testing.assert_allclose(look_ups.depth[shown], depth[shown.numpy()], rtol=1e-5)


def test_what_several_cameras_show_is_their_mean():
    cameras, point = [CameraSpec(yaw=15), CameraSpec(yaw=-15)], np.array([[10.0, 0.0, 1.0]])
    features = torch.stack([torch.full((1, 1, 32, 48), 2.0), torch.full((1, 1, 32, 48), 6.0)], 1)
    assert LookUps(cameras, point, 2)(features).item() == pytest.approx(4.0)


@pytest.mark.parametrize("pose", [(0.0, 0.0, 0.0), (6.0, -0.5, 0.3)])
def test_the_remembered_ground_is_what_the_renderer_draws(pose):
    memory, start = MapMemory(BEV, 128), scenes.scene(x=3.0, y=1.0)
    view = torch.from_numpy(BevRenderer(BEV).map_layer(start))[None]
    cells, origin = memory.observe(*memory.empty(1), torch.zeros(1, 3), view)
    look = ground_look(cells, origin, torch.tensor([pose]), RIG, BEV)[0].T
    x, y, heading = pose
    scene = scenes.scene(x=3.0 + x, y=1.0 + y, heading=heading)
    drawn = pictures({n: i.classes for n, i in CameraRenderer().images(scene, DAY).items()}).flatten()[RIG.ground]
    near = (look[:, 3] == 0) & (drawn >= CameraClass.GROUND) & (drawn <= CameraClass.LINE) & (RIG.ground_depth < 20)
    assert near.sum() > 4000
    line = look[:, 4:].sum(-1) > 0.5
    for mine, kind in (((look[:, 1] > 0) & ~line, CameraClass.ROAD), (look[:, 0] > 0, CameraClass.GROUND)):
        both, either = ((mine & (drawn == kind)) & near).sum(), ((mine | (drawn == kind)) & near).sum()
        assert both / either > 0.85, kind
    # A view whose pixels are 0.75 m wide knows a line that runs along them to 0.4 m.
    places = to_frame(RIG.places[line & near].numpy(), -np.array([0, 0, heading])) + scene.ego.pose[:2]
    away = abs(places[:, 1, None] - [-1.75, 1.75, 5.25, 8.75]).min(-1)
    assert len(away) > 60 and np.percentile(away, 95) < 0.7 and away.mean() < 0.35
    # As much is painted as there is.
    assert look[near, 4:].sum() == pytest.approx((drawn[near] == CameraClass.LINE).sum().item(), rel=0.35)


def test_pictures_may_be_cut_off_at_the_bottom():
    points = torch.from_numpy(np.random.default_rng(1).uniform(-30, 30, (3, 300)) * [[1], [1], [0.1]]).float()
    (where, inside), (cut, higher) = RIG.appear(points), RIG.appear(points, 40)
    row = where[1] % 64
    assert torch.equal(higher, inside & (row < 40)) and 20 < higher.sum() < inside.sum()
    camera = where[1] // 64
    assert torch.allclose(cut[1, higher], (row.clamp_max(39.5) + 40 * camera)[higher], atol=1e-3) and torch.equal(
        cut[0], where[0]
    )
    each, some = RIG.appear(points, torch.where(torch.arange(300) < 100, 40, 64))
    assert torch.equal(some, torch.where(torch.arange(300) < 100, higher, inside))
    assert torch.equal(each[:, :100], cut[:, :100]) and torch.equal(each[:, 100:], where[:, 100:])


def test_rows_of_pixels_are_written_where_they_belong():
    mask = np.zeros((3, 64, 96), bool)
    mask[0, 40:, 3] = mask[2, 10:12] = True
    band, out = Band.of(mask), torch.zeros(2, 3 * 64 * 96)
    assert band.rows == ((40, 64), (0, 0), (10, 12))
    values = torch.arange(2.0 * len(band.pixels)).view(2, -1) + 1
    band.spread(values, out.unflatten(1, (3, -1)))
    assert torch.equal(out[:, band.pixels], values) and (out > 0).sum() == values.numel()
