"""The cameras' geometry as tensors, against calibrations and against what the renderer draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from learned_sim_env.scene import to_frame
from learned_sim_env.spec import CAMERAS, BevSpec, CameraSpec, SceneryKind, SemanticClass
from learned_sim_env.world_model.rssm.camera.painting.boxes import FAR, cast, heights
from learned_sim_env.world_model.rssm.camera.painting.ground_look import ground_look
from learned_sim_env.world_model.rssm.camera.painting.keyframe import (
    BASE,
    CHANNELS,
    SOURCES,
    Hypotheses,
    Keyframe,
    Looked,
    remembered,
)
from learned_sim_env.world_model.rssm.camera.painting.ranges import FARTHEST, from_bytes
from learned_sim_env.world_model.rssm.camera.painting.rig import Band, Rig
from learned_sim_env.world_model.rssm.camera.painting.things import (
    AGENT,
    FIRST,
    LAYERS,
    SECOND,
    Outlines,
    Things,
    agents_as_things,
    before,
    joined,
    scenery_as_things,
)
from learned_sim_env.world_model.rssm.camera.painting.things import cast as cast_things
from learned_sim_env.world_model.rssm.camera.perception.look_ups import LookUps
from learned_sim_env.world_model.rssm.map_memory import MapMemory
from tests import scenes

pytest.importorskip("cv2", reason="drawing needs OpenCV, which the simulators' extras bring")

from learned_sim_env.rendering.bev import BevRenderer
from learned_sim_env.rendering.camera import Appearance, CameraClass, CameraRenderer

BEV = BevSpec()
RIG = Rig(list(CAMERAS.values()))
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
    band.spread(values, out)
    assert torch.equal(out[:, band.pixels], values) and (out > 0).sum() == values.numel()


def as_things(others, beside, pose=(0.0, 0.0, 0.0)) -> Things:
    """Agents, and scenery (S, 7) x, y, heading, size, kind, as things in the ego frame of a pose."""
    seen, size, classes = boxes(others, pose)
    agents = agents_as_things(seen, size, classes, torch.zeros(*classes.shape, 4))
    rows = np.asarray(beside, np.float64).reshape(-1, 7)
    places = np.concatenate([to_frame(rows[:, :2], np.array(pose)), rows[:, 2:3] - pose[2]], -1)
    parts = (torch.from_numpy(v.astype(np.float32))[None] for v in (places, rows[:, 3:6]))
    kinds = torch.from_numpy(rows[:, 6].astype(np.uint8))[None]
    return joined(agents, scenery_as_things(*parts, kinds, torch.zeros(*kinds.shape, 4), RIG.eye))


NOBODY = scenes.agents()
STREET = (
    (14.0, 6.0, 0.3, 6.0, 6.0, 8.0, SceneryKind.TREE),
    (22.0, 16.0, 0.3, 4.0, 4.0, 9.0, SceneryKind.CONIFER),
    (20.0, -14.0, 0.4, 12.0, 9.0, 7.0, SceneryKind.HOUSE),
    (3.0, -9.0, 2.0, 0.18, 0.18, 7.5, SceneryKind.LAMP),
    (9.0, -5.0, 2.0, 0.12, 0.12, 1.0, SceneryKind.POST),
)


def test_things_meet_the_rays_that_boxes_do():
    things = as_things(CROWD, ())
    hits = cast_things(RIG, things, things.shape.shape[1])
    pose, size, classes = boxes(CROWD)
    expected = cast(RIG.rays, RIG.origins, pose, size, classes)
    assert hits.depth.shape == (1, LAYERS, len(RIG.rays)) and (hits.depth[:, FIRST:] == FAR).all()
    assert torch.allclose(hits.depth[:, AGENT], expected.depth, rtol=1e-4)
    assert torch.equal(expected.box[0, hits.ray], hits.thing)
    assert torch.allclose(expected.place[0, hits.ray], hits.place, atol=1e-3)


def test_scenery_is_where_the_renderer_draws_it(monkeypatch):
    from learned_sim_env.rendering.camera import scenery, things

    rows = np.array(STREET)
    drawn = scenery.Scenery(rows[:, 6].astype(int), rows[:, :3], rows[:, 3:6], np.full(len(rows), 0.5))
    monkeypatch.setattr(things, "scenery", lambda road_map: drawn)
    images = CameraRenderer().images(scenes.scene(), DAY)
    shown = pictures({name: image.classes for name, image in images.items()}).flatten() == CameraClass.SCENERY
    depth = pictures({name: image.depth for name, image in images.items()}).flatten()
    hits = cast_things(RIG, as_things(NOBODY, STREET), 0)
    nearest = hits.depth[0].amin(0)
    # Planes and boxes hold what is drawn, and what is drawn stands where they do.
    assert (nearest[shown] < FAR).float().mean() > 0.97
    met = shown & (nearest < FAR)
    either = torch.minimum(*((hits.depth[0, layer] - depth).abs() / depth for layer in (FIRST, SECOND)))
    assert (either[met] < 0.05).float().mean() > 0.8
    assert len(hits.thing[hits.layer == FIRST].unique()) == len(STREET)


def test_what_stands_behind_is_met_as_well():
    tree = (10.0, 0.0, 0.0, 6.0, 6.0, 8.0, SceneryKind.TREE)
    hits = cast_things(RIG, as_things(NOBODY, (tree, (20.0, 1.0, *tree[2:]), (30.0, 0.0, *tree[2:]))), 0)
    both = (hits.depth[0, SECOND] < FAR) & (hits.depth[0, FIRST] < 11)
    assert both.sum() > 100 and (hits.depth[0, SECOND] > hits.depth[0, FIRST])[both].all()
    assert hits.depth[0, SECOND, both].min() == pytest.approx(20, abs=1.0)
    # Each hit is told once, and where it is.
    assert len(hits.flat.unique()) == len(hits.flat) == (hits.depth < FAR).sum()
    at = RIG.origins[hits.ray] + RIG.rays[hits.ray] * hits.depth.view(-1)[hits.flat][:, None]
    assert torch.allclose(at[:, 2], (hits.place[:, 2] + 1) * 4, atol=1e-2)


def test_things_beside_a_camera_are_met():
    """Where a house reaches behind a camera, rays meet it as they would one by one."""
    wall = (0.0, 6.0, 0.0, 30.0, 4.0, 5.0, SceneryKind.BLOCK)
    hits = cast_things(RIG, as_things(NOBODY, wall), 0)
    size = torch.tensor([[[30 * 1.06, 4 * 1.06]]])
    level = RIG.rays[:, 2] <= 0
    expected = cast(RIG.rays, RIG.origins, torch.tensor([[[0.0, 6.0, 0.0]]]), size, torch.full((1, 1), 6).byte())
    assert torch.equal((hits.depth[0, FIRST] < FAR)[level], (expected.depth[0] < FAR)[level])
    assert (hits.depth[0, FIRST] < FAR).sum() > 2000


def key_of(frame: torch.Tensor, things: Things, agents: int, turned: float) -> Keyframe:
    hits = cast_things(RIG, things, agents)
    shown, _ = remembered(frame, RIG, hits, torch.ones(len(hits.ray), dtype=torch.bool), things.shape.shape[1])
    return Keyframe.of(shown, shown[:, :, : RIG.skyline], torch.tensor([turned]))


def test_a_keyframe_says_what_everything_looks_like(monkeypatch):
    from learned_sim_env.rendering.camera import scenery
    from learned_sim_env.rendering.camera import things as drawn_things

    rows = np.array(STREET)
    drawn = scenery.Scenery(rows[:, 6].astype(int), rows[:, :3], rows[:, 3:6], np.full(len(rows), 0.5))
    monkeypatch.setattr(drawn_things, "scenery", lambda road_map: drawn)
    renderer, pose = CameraRenderer(), (1.5, 0.0, 0.05)
    others = scenes.agents((SemanticClass.VEHICLE, 12.0, 3.0, 0.1, 4.6, 1.9))
    later = scenes.agents((SemanticClass.VEHICLE, 15.0, 3.3, 0.2, 4.6, 1.9))
    first, now = scenes.scene(others=others), scenes.scene(others=later, x=pose[0], heading=pose[2])
    frame, motion = pictures(renderer.render(first, DAY)), torch.tensor([pose])
    things = as_things(later, STREET, pose)
    key = key_of(frame, as_things(others, STREET), 1, pose[2])
    then = before(things, motion, boxes(others)[0], RIG.eye, torch.ones_like(things.shape, dtype=torch.bool))
    hits = cast_things(RIG, things, 1)
    found: Looked = Hypotheses(RIG)(key, motion, hits, things, then)
    assert found.behind.shape == (1, SOURCES, CHANNELS, len(RIG.rays)) and found.things.shape == (
        len(hits.ray),
        CHANNELS,
    )
    images = renderer.images(now, DAY)
    truth = pictures(renderer.render(now, DAY))[0].reshape(-1, 3) / 255
    kinds = pictures({n: i.classes for n, i in images.items()}).flatten()
    copied = frame[0].reshape(-1, 3) / 255

    def check(colours: torch.Tensor, pixels: torch.Tensor, most: float, share: float) -> None:
        """How wrong what is found is against a copy of the picture."""
        shown = colours[:, 3] > 0
        warped, left = ((v[shown] - truth[pixels][shown]).abs().mean() for v in (colours[:, :3], copied[pixels]))
        assert warped < most * left and shown.float().mean() > share

    behind = found.behind[0].transpose(1, 2)
    ground = (kinds >= CameraClass.GROUND) & (kinds <= CameraClass.LINE)
    check(behind[BASE][ground], ground.nonzero()[:, 0], 0.5, 0.9)
    for layer, kind, most in ((AGENT, CameraClass.VEHICLE, 0.5), (FIRST, CameraClass.SCENERY, 0.6)):
        mine = (hits.layer == layer) & (kinds[hits.ray] == kind)
        check(found.things[mine], hits.ray[mine], most, 0.9)
        assert found.things[mine, 4].mean() > 0.8
    sky = (kinds == CameraClass.SKY) & (behind[BASE, :, 3] > 0)
    assert (behind[BASE, sky, :3] - truth[sky]).abs().mean() < 0.02 and sky.sum() > 0.9 * (kinds == 0).sum()


def test_a_keyframe_tells_how_far_away_and_of_what_colour_things_are():
    green = torch.zeros(1, 3, 64, 96, 3, dtype=torch.uint8)
    green[..., 1] = 200
    things = as_things(CROWD, STREET)
    agents = things.shape.shape[1] - len(STREET)
    hits = cast_things(RIG, things, agents)
    solid = hits.thing != agents  # The tree is seen through.
    shown, colours = remembered(green, RIG, hits, solid, things.shape.shape[1])
    assert torch.equal(shown[..., :3], green)
    met = torch.where(hits.depth < FAR, hits.depth, torch.inf)[0].amin(0) * RIG.level
    ranges = (shown[..., 3].flatten().float() * from_bytes(1.0)).exp()
    near = (met < 60) & torch.ones(len(met), dtype=torch.bool).index_fill(0, hits.ray[~solid], False)
    assert near.sum() > 1000 and torch.allclose(ranges[near], met[near], rtol=0.02)
    sky = (hits.depth[0] == FAR).all(0) & (RIG.rays[:, 2] > 0)
    assert torch.allclose(ranges[sky], torch.tensor(FARTHEST), rtol=0.01)
    known = colours[0, :, 3] > 0
    assert known.sum() >= 6 and not known[agents]
    assert torch.allclose(colours[0, known], torch.tensor([0.0, 200 / 255, 0.0, 1.0]), atol=1e-4)


def test_nothing_is_said_of_things_that_the_keyframe_did_not_have():
    things = as_things(CROWD, ())
    key = key_of(torch.full((1, 3, 64, 96, 3), 90, dtype=torch.uint8), things, len(CROWD), 0.0)
    hits = cast_things(RIG, things, things.shape.shape[1])
    there = torch.ones_like(things.shape, dtype=torch.bool)
    there[0, 2] = False
    then = before(things, torch.zeros(1, 3), things.pose, RIG.eye, there)
    found = Hypotheses(RIG)(key, torch.zeros(1, 3), hits, things, then).things
    assert not found[hits.thing == 2].any() and (found[hits.thing == 0, 3] == 1).float().mean() > 0.9


def test_what_a_camera_alone_shows_is_what_it_shows_among_others():
    things = as_things(CROWD, STREET)
    agents, motion = len(CROWD), torch.tensor([[2.0, 0.3, 0.1]])
    frame = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, 64, 96, 3), np.uint8))
    key, outlines = key_of(frame, things, agents, 0.2), Outlines.of(RIG, things)
    then = before(things, motion, things.pose[:, :agents], RIG.eye, torch.ones_like(things.shape, dtype=torch.bool))
    hits = cast_things(RIG, things, agents)
    together = Hypotheses(RIG)(key, motion, hits, things, then).behind
    for number, camera in enumerate(CAMERAS.values()):
        look_up, pixels = Hypotheses(RIG, Rig([camera])), slice(number * 64 * 96, (number + 1) * 64 * 96)
        mine = cast_things(look_up.painted, things, agents, outlines.alone(number))
        assert torch.equal(mine.depth, hits.depth[..., pixels]) and len(mine.ray) > 100
        alone = look_up(key, motion, mine, things, then).behind
        assert torch.allclose(alone, together[..., pixels], atol=1e-4)
