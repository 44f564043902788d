"""Camera pictures of scenes whose geometry is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from learned_sim_env.scene import Line
from learned_sim_env.spec import CAMERAS, CameraSpec, SemanticClass
from tests import scenes

pytest.importorskip("cv2", reason="drawing needs OpenCV, which the simulators' extras bring")

from learned_sim_env.rendering.camera import CONDITIONS, Appearance, CameraClass, CameraRenderer

RENDERER = CameraRenderer()
DAY = Appearance.named("clear", 1)
CAR = scenes.agents((SemanticClass.VEHICLE, 12.0, 0.0, 0.0, 4.5, 1.8))
CROWD = scenes.agents(
    (SemanticClass.VEHICLE, 14.0, 3.5, 0.1, 4.6, 1.9),
    (SemanticClass.VEHICLE, 20.0, 7.0, 3.1, 9.0, 2.5),
    (SemanticClass.VEHICLE, 9.0, -3.0, 0.3, 2.0, 0.7),
    (SemanticClass.PEDESTRIAN, 6.0, -4.0, 1.0, 0.6, 0.6),
    (SemanticClass.STATIC_OBJECT, 8.0, -1.0, 0.4, 0.4, 0.4),
    (SemanticClass.STATIC_OBJECT, 10.0, 1.5, 0.4, 2.0, 0.3),
)


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_pictures_are_rgb_of_the_cameras_size():
    cameras = {"wide": CameraSpec(fov=100, height=48, width=160), "back": CameraSpec(yaw=180, pitch=-5)}
    images = CameraRenderer(cameras).images(scenes.scene(others=CROWD), DAY)
    for name, camera in cameras.items():
        assert images[name].rgb.shape == (camera.height, camera.width, 3)
        assert images[name].rgb.dtype == images[name].classes.dtype == np.uint8
        assert images[name].classes.shape == images[name].depth.shape == (camera.height, camera.width)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_same_scene_and_appearance_give_the_same_picture(condition):
    scene, look = scenes.scene(others=CROWD, x=3.0, heading=0.2), Appearance.named(condition, 4)
    expected = RENDERER.render(scene, look)
    # Neither what was drawn before, nor which renderer draws, nor whether classes are asked for, makes a difference.
    RENDERER.render(scenes.scene(x=150.0), DAY)
    assert same(RENDERER.render(scene, look), expected)
    assert same(CameraRenderer().render(scene, look), expected)
    assert same({name: image.rgb for name, image in RENDERER.images(scene, look).items()}, expected)


def test_conditions_look_different():
    means = {c: RENDERER.render(scenes.scene(), Appearance.named(c, 2))["front"].mean() for c in CONDITIONS}
    assert means["night"] < means["dusk"] < means["clear"]
    assert len(set(means.values())) == len(CONDITIONS)


def test_seeds_draw_appearances():
    drawn = [Appearance.draw(seed) for seed in range(200)]
    assert {a.condition for a in drawn} == set(CONDITIONS)
    assert len({a.asphalt for a in drawn}) > 190
    assert Appearance.draw(7) == Appearance.draw(7)


def test_appearances_as_users_give_them():
    assert Appearance.of("fog", 3) == Appearance.named("fog", 3)
    assert Appearance.of(None, 3) == Appearance.of(3, 9) == Appearance.draw(3)
    assert Appearance.of(DAY, 9) is DAY
    with pytest.raises(ValueError, match="Did you mean 'night'"):
        Appearance.of("nihgt", 0)
    with pytest.raises(TypeError, match="neither a condition"):
        Appearance.of(1.5, 0)


def test_a_car_is_where_geometry_says():
    image = RENDERER.images(scenes.scene(others=CAR), DAY)["front"]
    rows, columns = np.nonzero(image.classes == CameraClass.VEHICLE)
    # Its back, 9.75 m ahead, is 1.8 m wide and up to 1.5 m high, as high as the camera.
    focal = CAMERAS["front"].focal_length
    assert abs(columns.mean() - 47.5) < 0.8
    assert abs(np.ptp(columns) + 1 - focal * 1.8 / 9.75) < 2
    assert abs(rows.min() - 32) <= 1
    seen = image.depth[image.classes == CameraClass.VEHICLE]
    assert 9.6 < seen.min() < 10.0
    assert seen.max() < 14.3


def test_depth_of_the_ground_and_the_sky():
    camera = CAMERAS["front"]
    image = CameraRenderer({"front": camera}).images(scenes.scene(), DAY)["front"]
    flat = np.isin(image.classes, (CameraClass.ROAD, CameraClass.LINE, CameraClass.GROUND))
    rows, _ = np.nonzero(flat)
    expected = 1.5 * camera.focal_length / (rows + 0.75 - 32)
    np.testing.assert_allclose(image.depth[flat], expected, rtol=1e-5)
    assert np.isinf(image.depth[image.classes == CameraClass.SKY]).all()
    assert (image.classes[:20] != CameraClass.ROAD).all()


def test_projection_and_rays_are_inverse():
    camera = CameraSpec(yaw=35, pitch=-8, position=(0.7, -0.2, 1.3))
    rows, columns = np.mgrid[0:64:7, 0:96:9] + 0.5
    points = np.array(camera.position) + camera.rays(rows, columns) * 7.5
    row, column, depth = camera.project(points)
    np.testing.assert_allclose(row, rows)
    np.testing.assert_allclose(column, columns)
    np.testing.assert_allclose(depth, 7.5)


def test_left_is_left():
    left = scenes.agents((SemanticClass.VEHICLE, 5.0, 9.0, 0.0, 4.5, 1.8))
    images = RENDERER.images(scenes.scene(others=left), DAY)
    count = {name: int((image.classes == CameraClass.VEHICLE).sum()) for name, image in images.items()}
    assert count["left"] > 30
    assert count["right"] == 0


def test_views_agree_where_they_overlap():
    """What front and left see of a place far away along the same ray has one class and, along the ray, one distance."""
    images = RENDERER.images(scenes.scene(others=CROWD, heading=0.1), DAY)
    front, left = CAMERAS["front"], CAMERAS["left"]
    rows, columns = np.mgrid[4:60, 2:10] + 0.75
    rays = front.rays(rows, columns)
    row, column, _ = left.project(np.array(left.position) + rays)
    inside = (row >= 0) & (row < 64) & (column >= 0) & (column < 96)
    assert inside.mean() > 0.5
    r, c = row[inside].astype(int), column[inside].astype(int)
    mine = images["front"].classes[rows[inside].astype(int), columns[inside].astype(int)]
    assert (mine == images["left"].classes[r, c]).mean() > 0.9


def test_what_is_near_hides_what_is_far():
    behind = scenes.agents(
        (SemanticClass.PEDESTRIAN, 30.0, 0.0, 0.0, 0.6, 0.6), (SemanticClass.VEHICLE, 12, 0, 0, 9, 2.5)
    )
    for others in (behind, scenes.agents(*[(behind.classes[i], *behind.poses[i], *behind.sizes[i]) for i in (1, 0)])):
        classes = RENDERER.images(scenes.scene(others=others), DAY)["front"].classes
        assert CameraClass.VEHICLE in classes
        assert CameraClass.PEDESTRIAN not in classes


def test_a_thing_that_the_camera_is_beside_is_drawn():
    beside = scenes.agents((SemanticClass.VEHICLE, 0.0, -2.4, 0.0, 12.0, 2.4))
    images = RENDERER.images(scenes.scene(others=beside), DAY)
    assert (images["right"].classes == CameraClass.VEHICLE).mean() > 0.3
    assert np.isfinite(images["right"].depth[images["right"].classes == CameraClass.VEHICLE]).all()


def test_scenery_stands_beside_the_road_and_moves_with_parallax():
    here = RENDERER.images(scenes.scene(), DAY)["front"]
    there = RENDERER.images(scenes.scene(x=3.0), DAY)["front"]
    standing = here.classes == CameraClass.SCENERY
    assert standing.sum() > 50
    assert not np.array_equal(standing, there.classes == CameraClass.SCENERY)
    assert (here.depth[standing] > 2.0).all()


def test_colours_belong_to_the_agent_not_to_its_row():
    scene = scenes.scene(others=CROWD)
    turned = replace(CROWD, **{n: getattr(CROWD, n)[::-1] for n in ("ids", "classes", "poses", "sizes", "velocities")})
    assert same(RENDERER.render(scene, DAY), RENDERER.render(replace(scene, agents=turned), DAY))
    other = replace(CROWD, ids=CROWD.ids + 50)
    assert not same(RENDERER.render(scene, DAY), RENDERER.render(replace(scene, agents=other), DAY))


def test_the_route_is_not_shown():
    road = scenes.straight_road()
    hidden = replace(road, lanes=tuple(replace(lane, on_route=False) for lane in road.lanes))
    assert same(RENDERER.render(scenes.scene(road), DAY), RENDERER.render(scenes.scene(hidden), DAY))


def test_shadows_follow_the_sun():
    low = replace(DAY, sun_elevation=0.4)
    left, right = (replace(low, sun_azimuth=a) for a in (np.pi / 2, -np.pi / 2))
    pictures = [RENDERER.render(scenes.scene(others=CAR), a)["front"].astype(int).sum(-1) for a in (left, right)]
    darker_right = (pictures[0] < pictures[1])[40:50]
    assert darker_right[:, 55:75].mean() > darker_right[:, 20:40].mean(), "with the sun on the left, shadows fall right"


def test_a_closed_line_has_a_light():
    closed = replace(scenes.scene(), closed_lines=(Line(np.array([(15.0, -1.7), (15.0, 1.7)])),))
    red = [
        p[..., 0].astype(int) - p[..., 1] for p in (RENDERER.render(s, DAY)["front"] for s in (scenes.scene(), closed))
    ]
    assert (red[1] > 90).sum() > (red[0] > 90).sum()


def test_a_scene_without_anything_is_drawn():
    bare = replace(scenes.straight_road(), lanes=(), lines=())
    images = RENDERER.images(scenes.scene(bare), DAY)
    assert set(np.unique(images["front"].classes)) <= {CameraClass.SKY, CameraClass.GROUND, CameraClass.SCENERY}


def test_calibrations_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="fov 180"):
        CameraSpec(fov=180)
    with pytest.raises(ValueError, match="0 x 96"):
        CameraSpec(height=0)
