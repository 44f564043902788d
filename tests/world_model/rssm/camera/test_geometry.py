"""The cameras' geometry as tensors, against calibrations and against what the renderer draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from learned_sim_env.scene import to_frame
from learned_sim_env.spec import CAMERAS, BevSpec, CameraSpec, SemanticClass
from learned_sim_env.world_model.rssm.camera.boxes import FAR, cast, heights
from learned_sim_env.world_model.rssm.camera.ground_look import ground_look
from learned_sim_env.world_model.rssm.camera.keyframe import BACKDROP, CHANNELS, FARTHEST, SOURCES, Hypotheses, Keyframe
from learned_sim_env.world_model.rssm.camera.look_ups import LookUps
from learned_sim_env.world_model.rssm.camera.model import with_agents
from learned_sim_env.world_model.rssm.camera.rig import Rig
from learned_sim_env.world_model.rssm.map_memory import MapMemory
from tests import scenes

pytest.importorskip("cv2", reason="drawing needs OpenCV, which the simulators' extras bring")

from learned_sim_env.rendering.bev import BevRenderer
from learned_sim_env.rendering.camera import Appearance, CameraClass, CameraRenderer

BEV = BevSpec()
RIG = Rig(list(CAMERAS.values()))
FLAT = torch.zeros(1, 3, 64, 96)
DAY = Appearance.named("overcast", 1)
CROWD = scenes.agents(
    (SemanticClass.VEHICLE, 14.0, 3.5, 0.1, 4.6, 1.9),
    (SemanticClass.VEHICLE, 20.0, 7.0, 3.1, 9.0, 2.5),
    (SemanticClass.VEHICLE, 5.0, -6.0, 1.3, 4.4, 1.8),
    (SemanticClass.PEDESTRIAN, 6.0, -4.0, 1.0, 0.6, 0.6),
    (SemanticClass.STATIC_OBJECT, 8.0, -1.0, 0.4, 0.4, 0.4),
)


def boxes(others, pose=(0.0, 0.0, 0.0)):
    """Agents as (1, K, ...) tensors in the ego frame of a pose."""
    pose = np.array(pose)
    seen = np.concatenate([to_frame(others.poses[:, :2], pose), others.poses[:, 2:] - pose[2]], -1)
    return tuple(torch.from_numpy(np.asarray(v, t))[None] for v, t in (
        (seen, np.float32), (others.sizes, np.float32), (others.classes, np.uint8)
    ))  # fmt: skip


def pictures(values: dict[str, np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack([values[name] for name in CAMERAS]))[None]


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
    where, inside = rig.appear(torch.from_numpy(points).float())
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


def test_boxes_are_where_the_renderer_draws_agents():
    images = CameraRenderer().images(scenes.scene(others=CROWD, x=1.0, heading=0.05), DAY)
    pose, size, classes = boxes(CROWD, (1.0, 0.0, 0.05))
    hits = cast(RIG.rays, RIG.origins, pose, size, classes)
    shown = pictures({name: image.classes for name, image in images.items()}).flatten(1)
    depth = pictures({name: image.depth for name, image in images.items()}).flatten(1)
    agent = (shown >= CameraClass.STATIC_OBJECT) & (shown <= CameraClass.PEDESTRIAN)
    met = hits.depth < FAR
    # The renderer looks a quarter of a pixel aside of the middles, and cars are rounder than boxes.
    assert met[agent].float().mean() > 0.97 and agent[met].float().mean() > 0.75
    both = agent & met
    kinds = classes.gather(1, hits.box)[both]
    assert (kinds.int() == shown[both].int()).float().mean() > 0.95
    assert ((depth - hits.depth)[both].abs() / depth[both]).median() < 0.03
    # Places on the nearest car reach from one end to the other and from the ground to the roof.
    car = hits.place[0][met[0] & (hits.box[0] == 2)]
    assert (car.abs() <= 1).all() and car.amax(0).min() > 0.9 and car.amin(0)[[0, 2]].max() < -0.9


def test_nearer_boxes_hide_farther_ones():
    pose = torch.tensor([[[20.0, 0, 0], [10.0, 0, 0], [12.0, 30, 0]]])
    size, classes = torch.tensor([[[4.0, 2.0]] * 3]), torch.tensor([[6, 6, 6]], dtype=torch.uint8)
    hits = cast(RIG.rays, RIG.origins, pose, size, classes)
    ahead = (RIG.rays[:, 0] == 1) & (RIG.rays[:, 1].abs() < 0.02) & (RIG.rays[:, 2] < 0) & (RIG.rays[:, 2] > -0.1)
    assert ahead.sum() > 10 and (hits.box[0, ahead] == 1).all()
    assert torch.allclose(hits.depth[0, ahead], torch.tensor(8.0))
    empty = cast(RIG.rays, RIG.origins, pose, size, classes * 0)
    assert (empty.depth == FAR).all() and not empty.place.any()


def test_each_scene_meets_its_own_boxes():
    pose, size, classes = boxes(CROWD)
    both = [torch.cat([v, v.flip(1)]) for v in (pose * 0.8, size, classes)]
    both[0][1, :, 0] += 3
    hits = cast(RIG.rays, RIG.origins, *both)
    for row in (0, 1):
        alone = cast(RIG.rays, RIG.origins, *(v[row : row + 1] for v in both))
        assert all(torch.equal(a[row : row + 1], b) for a, b in zip(hits, alone, strict=True))


def test_agents_are_as_tall_as_the_renderer_draws_them():
    from learned_sim_env.rendering.camera.things import things_around

    others = scenes.agents(
        *((SemanticClass.VEHICLE, 5 * length, 0.0, 0.0, length, 1.8) for length in (2.0, 4.5, 6.0, 9.0)),
        (SemanticClass.PEDESTRIAN, 5.0, 5.0, 0.0, 0.6, 0.6),
        (SemanticClass.STATIC_OBJECT, 5.0, 9.0, 0.0, 0.4, 0.4),
        (SemanticClass.STATIC_OBJECT, 5.0, 12.0, 0.0, 2.0, 0.4),
    )
    drawn = things_around(scenes.scene(others=others), 0)
    _, size, classes = boxes(others)
    np.testing.assert_allclose(heights(size, classes)[0], drawn.sizes[: len(others), 2], rtol=1e-6)


@pytest.mark.parametrize("pose", [(0.0, 0.0, 0.0), (6.0, -0.5, 0.3)])
def test_the_remembered_ground_is_what_the_renderer_draws(pose):
    memory, start = MapMemory(BEV, 128), scenes.scene(x=3.0, y=1.0)
    view = torch.from_numpy(BevRenderer(BEV).map_layer(start))[None]
    cells, origin = memory.observe(*memory.empty(1), torch.zeros(1, 3), view)
    look = ground_look(cells, origin, torch.tensor([pose]), RIG, BEV)[0]
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


def test_a_keyframe_says_what_the_ground_and_the_agents_look_like():
    renderer = CameraRenderer()
    others = scenes.agents((SemanticClass.VEHICLE, 12.0, 3.0, 0.1, 4.6, 1.9))
    later = scenes.agents((SemanticClass.VEHICLE, 15.0, 3.3, 0.2, 4.6, 1.9))
    before, now = scenes.scene(others=others), scenes.scene(others=later, x=1.5, heading=0.05)
    frame = pictures(renderer.render(before, DAY))
    pose, size, classes = boxes(later, (1.5, 0.0, 0.05))
    shown = with_agents(frame, cast(RIG.rays, RIG.origins, *boxes(others)))
    key = Keyframe(
        shown, torch.zeros(1, 3), boxes(others)[0], classes, torch.zeros(1), frame, torch.tensor([0.05]), FLAT, FLAT
    )
    hits = cast(RIG.rays, RIG.origins, pose, size, classes)
    sources = Hypotheses(RIG)(key, torch.tensor([[1.5, 0.0, 0.05]]), hits, pose).detach()
    assert sources.shape == (1, SOURCES, CHANNELS, len(RIG.rays))
    images = renderer.images(now, DAY)
    truth = pictures(renderer.render(now, DAY))[0].reshape(-1, 3).T / 255
    kinds = pictures({n: i.classes for n, i in images.items()}).flatten()
    copied = frame[0].reshape(-1, 3).T / 255

    def error(kind: int, pixels: torch.Tensor) -> tuple[float, float, float]:
        shown = pixels & (sources[0, kind, 3] > 0)
        away = [(v[:, shown] - truth[:, shown]).abs().mean(0) for v in (sources[0, kind, :3], copied)]
        away = [(v.median() if kind > 1 else v.mean()).item() for v in away]
        return *away, shown.float().sum().item() / pixels.sum().item()

    ground = (kinds >= CameraClass.GROUND) & (kinds <= CameraClass.LINE)
    warped, left, share = error(0, ground)
    assert warped < 0.5 * left and share > 0.9
    warped, left, share = error(1, kinds == CameraClass.VEHICLE)
    assert warped < 0.5 * left and share > 0.9
    # The sky is far away; what stands before it is not.
    for kind in (FARTHEST, BACKDROP):
        warped, _, share = error(kind, kinds == CameraClass.SKY)
        assert warped < 0.01 and share > 0.9
    assert not sources[0, 1, :, hits.depth[0] == FAR].any()


def test_nothing_is_said_of_agents_that_the_keyframe_did_not_have():
    pose, size, classes = boxes(CROWD)
    black = torch.zeros(1, 3, 64, 96, 4, dtype=torch.uint8)
    key = Keyframe(
        black, torch.zeros(1, 3), pose, classes * 0, torch.zeros(1), black[..., :3], torch.zeros(1), FLAT, FLAT
    )
    hits = cast(RIG.rays, RIG.origins, pose, size, classes)
    assert not Hypotheses(RIG)(key, torch.zeros(1, 3), hits, pose)[:, 1].any()
