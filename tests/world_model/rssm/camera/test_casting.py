"""What rays from the cameras meet, against the slab method one by one and against what the renderer draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.spec import SceneryKind, SemanticClass
from learned_sim_env.world_model.rssm.camera.painting.casting import (
    AGENT,
    FAR,
    FIRST,
    LAYERS,
    NEAREST,
    SECOND,
    Hits,
    cast,
)
from learned_sim_env.world_model.rssm.camera.painting.things import Things, agents_as_things, heights
from tests import scenes
from tests.world_model.rssm.camera.street import CROWD, DAY, NOBODY, RIG, STREET, as_things, boxes, pictures

pytest.importorskip("cv2", reason="drawing needs OpenCV, which the simulators' extras bring")

from learned_sim_env.rendering.camera import CameraClass, CameraRenderer


def boxes_as_things(pose: torch.Tensor, size: torch.Tensor, classes: torch.Tensor) -> Things:
    return agents_as_things(pose, size, classes, torch.zeros(*classes.shape, 4))


def nearest(hits: Hits, row: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Which agent each ray of a scene meets first (N,), -1 for none, and where on it (N, 3)."""
    thing, place = torch.full((len(RIG.rays),), -1), torch.zeros(len(RIG.rays), 3)
    mine = (hits.row == row) & (hits.layer == AGENT)
    thing[hits.ray[mine]], place[hits.ray[mine]] = hits.thing[mine], hits.place[mine]
    return thing, place


def one_by_one(things: Things) -> tuple[torch.Tensor, torch.Tensor]:
    """Depth (N,), and which thing of a scene (N,) each ray meets first, every ray for every thing in float64."""
    rays, origins = RIG.rays.double(), RIG.origins.double()
    depths = []
    for (x, y, heading), half in zip(things.pose[0].double(), things.half[0].double(), strict=True):
        c, s = heading.cos(), heading.sin()
        turn = torch.stack([torch.stack([c, -s, 0 * c]), torch.stack([s, c, 0 * c]), torch.eye(3).double()[2]])
        start, along = (origins - torch.stack([x, y, half[2]])) @ turn, rays @ turn
        ends = torch.stack([(-half - start) / along, (half - start) / along])
        enter, leave = ends.amin(0).amax(-1), ends.amax(0).amin(-1)
        depths.append(torch.where((enter <= leave) & (enter > NEAREST), enter, FAR))
    found = torch.stack(depths).min(0)
    return found.values.float(), torch.where(found.values < FAR, found.indices, -1)


def test_agents_are_where_the_renderer_draws_them():
    images = CameraRenderer().images(scenes.scene(others=CROWD, x=1.0, heading=0.05), DAY)
    pose, size, classes = boxes(CROWD, (1.0, 0.0, 0.05))
    hits = cast(RIG, boxes_as_things(pose, size, classes), len(classes[0]))
    shown = pictures({name: image.classes for name, image in images.items()}).flatten()
    depth = pictures({name: image.depth for name, image in images.items()}).flatten()
    agent = (shown >= CameraClass.STATIC_OBJECT) & (shown <= CameraClass.PEDESTRIAN)
    thing, place = nearest(hits)
    met = thing >= 0
    assert torch.equal(met, hits.depth[0, AGENT] < FAR)
    # The renderer looks a quarter of a pixel aside of the middles, and cars are rounder than boxes.
    assert met[agent].float().mean() > 0.97 and agent[met].float().mean() > 0.75
    both = agent & met
    kinds = classes[0, thing[both]]
    assert (kinds.int() == shown[both].int()).float().mean() > 0.95
    assert ((depth - hits.depth[0, AGENT])[both].abs() / depth[both]).median() < 0.03
    # Places on the nearest car reach from one end to the other and from the ground to the roof.
    car = place[thing == 2]
    assert (car.abs() <= 1).all() and car.amax(0).min() > 0.9 and car.amin(0)[[0, 2]].max() < -0.9


def test_nearer_boxes_hide_farther_ones():
    pose = torch.tensor([[[20.0, 0, 0], [10.0, 0, 0], [12.0, 30, 0]]])
    size, classes = torch.tensor([[[4.0, 2.0]] * 3]), torch.tensor([[6, 6, 6]], dtype=torch.uint8)
    hits = cast(RIG, boxes_as_things(pose, size, classes), 3)
    ahead = (RIG.rays[:, 0] == 1) & (RIG.rays[:, 1].abs() < 0.02) & (RIG.rays[:, 2] < 0) & (RIG.rays[:, 2] > -0.1)
    assert ahead.sum() > 10 and (nearest(hits)[0][ahead] == 1).all()
    assert torch.allclose(hits.depth[0, AGENT, ahead], torch.tensor(8.0))
    empty = cast(RIG, boxes_as_things(pose, size, classes * 0), 3)
    assert (empty.depth == FAR).all() and not len(empty.ray)


def test_each_scene_meets_its_own_boxes():
    pose, size, classes = boxes(CROWD)
    both = [torch.cat([v, v.flip(1)]) for v in (pose * 0.8, size, classes)]
    both[0][1, :, 0] += 3
    hits = cast(RIG, boxes_as_things(*both), len(classes[0]))
    for row in (0, 1):
        alone = cast(RIG, boxes_as_things(*(v[row : row + 1] for v in both)), len(classes[0]))
        assert torch.equal(hits.depth[row : row + 1], alone.depth)
        assert all(torch.equal(a, b) for a, b in zip(nearest(hits, row), nearest(alone), strict=True))


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


def test_rays_meet_the_things_that_they_would_one_by_one():
    things = as_things(CROWD, ())
    hits = cast(RIG, things, things.shape.shape[1])
    depth, thing = one_by_one(things)
    assert hits.depth.shape == (1, LAYERS, len(RIG.rays)) and (hits.depth[:, FIRST:] == FAR).all()
    assert torch.allclose(hits.depth[0, AGENT], depth, rtol=1e-4)
    found, place = nearest(hits)
    assert torch.equal(found, thing)
    x, y, heading = things.pose[0, thing].unbind(-1)
    at = RIG.origins + RIG.rays * depth[:, None] - torch.stack([x, y, things.half[0, thing, 2]], -1)
    c, s = heading.cos(), heading.sin()
    expected = torch.stack([c * at[:, 0] + s * at[:, 1], c * at[:, 1] - s * at[:, 0], at[:, 2]], -1)
    expected = expected / things.half[0, thing]
    assert torch.allclose(place[thing >= 0], expected[thing >= 0], atol=1e-3)


def test_scenery_is_where_the_renderer_draws_it(monkeypatch):
    from learned_sim_env.rendering.camera import scenery, things

    rows = np.array(STREET)
    drawn = scenery.Scenery(rows[:, 6].astype(int), rows[:, :3], rows[:, 3:6], np.full(len(rows), 0.5))
    monkeypatch.setattr(things, "scenery", lambda road_map: drawn)
    images = CameraRenderer().images(scenes.scene(), DAY)
    shown = pictures({name: image.classes for name, image in images.items()}).flatten() == CameraClass.SCENERY
    depth = pictures({name: image.depth for name, image in images.items()}).flatten()
    hits = cast(RIG, as_things(NOBODY, STREET), 0)
    first = hits.depth[0].amin(0)
    # Planes and boxes hold what is drawn, and what is drawn stands where they do.
    assert (first[shown] < FAR).float().mean() > 0.97
    met = shown & (first < FAR)
    either = torch.minimum(*((hits.depth[0, layer] - depth).abs() / depth for layer in (FIRST, SECOND)))
    assert (either[met] < 0.05).float().mean() > 0.8
    assert len(hits.thing[hits.layer == FIRST].unique()) == len(STREET)


def test_what_stands_behind_is_met_as_well():
    tree = (10.0, 0.0, 0.0, 6.0, 6.0, 8.0, SceneryKind.TREE)
    hits = cast(RIG, as_things(NOBODY, (tree, (20.0, 1.0, *tree[2:]), (30.0, 0.0, *tree[2:]))), 0)
    both = (hits.depth[0, SECOND] < FAR) & (hits.depth[0, FIRST] < 11)
    assert both.sum() > 100 and (hits.depth[0, SECOND] > hits.depth[0, FIRST])[both].all()
    assert hits.depth[0, SECOND, both].min() == pytest.approx(20, abs=1.0)
    # Each hit is told once, and where it is.
    assert len(hits.flat.unique()) == len(hits.flat) == (hits.depth < FAR).sum()
    at = RIG.origins[hits.ray] + RIG.rays[hits.ray] * hits.depth.view(-1)[hits.flat][:, None]
    assert torch.allclose(at[:, 2], (hits.place[:, 2] + 1) * 4, atol=1e-2)


def test_things_beside_a_camera_are_met():
    """Where a house reaches behind a camera, rays meet it as they would one by one."""
    wall = as_things(NOBODY, (0.0, 6.0, 0.0, 30.0, 4.0, 5.0, SceneryKind.BLOCK))
    hits = cast(RIG, wall, 0)
    depth, _ = one_by_one(wall)
    assert torch.equal(hits.depth[0, FIRST] < FAR, depth < FAR)
    assert (hits.depth[0, FIRST] < FAR).sum() > 2000
