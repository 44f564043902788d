"""What there is to be seen in pictures, and that it is learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.spec import CAMERAS, BevSpec, SceneryKind, SemanticClass
from learned_sim_env.training.rssm.camera.augmentation import Shown, changed, mirror_order, mirrored, recoloured
from learned_sim_env.training.rssm.camera.scenery_loss import scenery_loss
from learned_sim_env.training.rssm.camera.sightings import Squares, Things, sightings, things_around
from learned_sim_env.world_model.rssm.camera.perception.perception import Perception
from learned_sim_env.world_model.rssm.camera.perception.scenery_finder import OBSTACLE
from tests import scenes

pytest.importorskip("cv2", reason="drawing needs OpenCV, which the simulators' extras bring")

from learned_sim_env.data.episode_recorder import agent_slots, scenery_slots
from learned_sim_env.rendering.camera import Appearance, CameraRenderer
from learned_sim_env.scene import to_frame

SPECS, BEV = list(CAMERAS.values()), BevSpec()
SQUARES = Squares.of(SPECS, 2)
FRONT, LEFT, RIGHT = range(3)


def things(*rows: tuple[int, tuple[float, float, float], tuple[float, float, float]]) -> Things:
    """One moment's, of kind, pose and size."""
    return Things(
        torch.tensor([[row[1] for row in rows]]),
        torch.tensor([[row[2] for row in rows]]),
        torch.tensor([[int(row[0]) for row in rows]]),
    )


@pytest.fixture(scope="module")
def drawn() -> tuple[Things, torch.Tensor, list[np.ndarray]]:
    """What stands around an ego on a road, the pictures of it (1, C, H, W, 3), and depths (H, W) by camera."""
    others = scenes.agents(
        (SemanticClass.VEHICLE, 14.0, 0.5, 0.1, 4.6, 1.9), (SemanticClass.STATIC_OBJECT, 12.0, -3.0, 0.0, 0.5, 0.5)
    )
    scene = scenes.scene(others=others)
    images = CameraRenderer().images(scene, Appearance.named("clear", 0))
    agents, scenery = agent_slots(scene.agents), scenery_slots(scene)
    tables = []
    for part, kind, prefix in ((scenery, "kind", "scenery"), (agents, "class", "agent")):
        pose = part[f"{prefix}_poses"].astype(np.float64)
        place, heading = to_frame(pose[:, :2], scene.ego.pose), pose[:, 2:] - scene.ego.pose[2]
        kinds = part["scenery_kinds" if kind == "kind" else "agent_classes"]
        pose = np.concatenate([place, heading], -1).astype(np.float32)
        values = {"pose": pose, "size": part[f"{prefix}_sizes"], kind: kinds}
        tables.append({name: torch.from_numpy(value)[None] for name, value in values.items()})
    pictures = torch.from_numpy(np.stack([images[name].rgb for name in CAMERAS]))[None]
    return things_around(*tables), pictures, [images[name].depth for name in CAMERAS]


def test_things_are_seen_where_they_are_drawn(drawn):
    around, _, depths = drawn
    found, checked = sightings(around, SQUARES), 0
    rays = [camera.rays(*((np.mgrid[0:64, 0:96]) + 0.75)) for camera in SPECS]
    for picture, thing, mask, distance in zip(found.picture, found.thing, found.mask, found.distance, strict=True):
        size, kind = around.size[0, thing], around.kind[0, thing]
        if kind in (SceneryKind.LAMP, SceneryKind.POST) or mask.sum() < 10:
            continue
        level = np.linalg.norm(rays[picture][..., :2], axis=-1) * depths[picture]
        there = mask.view(32, 48).repeat_interleave(2, 0).repeat_interleave(2, 1).numpy()
        near = np.abs(level - distance.item()) < 1.0 + size[:2].max().item() * 0.75
        assert near[there].mean() > 0.6, SceneryKind(int(kind)) if kind < OBSTACLE else kind
        checked += 1
    assert checked > 5


def test_the_nearer_hides_the_farther():
    house = (SceneryKind.HOUSE, (30.0, 0.0, 0.0), (12.0, 8.0, 6.0))
    van, post = (OBSTACLE, (12.0, 0.0, 0.0), (4.0, 6.0, 3.0)), (SceneryKind.POST, (10.0, 0.0, 0.0), (0.12, 0.12, 1.0))
    alone, behind, thin = (sightings(things(house, *more), SQUARES) for more in ((), (van,), (post,)))
    assert alone.share[alone.thing == 0].tolist() == [1.0] == thin.share[thin.thing == 0].tolist()
    assert behind.share[behind.thing == 0].item() < 0.5 and behind.share[behind.thing == 1].item() == 1.0


def test_left_and_right_are_exchanged_in_all_that_is_shown(drawn):
    around, pictures, _ = drawn
    assert mirror_order(SPECS) == [FRONT, RIGHT, LEFT] and mirror_order(SPECS[:2]) is None
    view = torch.randint(0, 8, (1, 64, 64), dtype=torch.uint8)
    route = torch.stack([torch.linspace(4, 40, 10), torch.linspace(0, 9, 10)], -1)[None]
    table = {"pose": around.pose, "size": around.size, "kind": around.kind}
    shown = Shown(pictures, route, view, table, table)
    both = torch.ones(1, dtype=torch.bool)
    other = mirrored(shown, both, [FRONT, RIGHT, LEFT], BEV)
    assert torch.equal(other.pictures[0, LEFT], pictures[0, RIGHT].flip(1))
    row, column = BEV.pixels(route)
    there, back = (r.view[0, row.round().long(), c.round().long()] for r, c in ((shown, column), (other, 64 - column)))
    assert torch.equal(there, back) and (other.view[:, :, 0] == SemanticClass.EGO).all()
    before, after = (sightings(Things(t["pose"], t["size"], t["kind"]), SQUARES) for t in (table, other.scenery))
    counts = [[f.mask[f.picture == c].view(-1, 32, 48).sum(0) for c in range(3)] for f in (before, after)]
    for camera, opposite in enumerate([FRONT, RIGHT, LEFT]):
        assert (counts[0][camera] != counts[1][opposite].flip(1)).float().mean() < 0.01
    again = mirrored(other, both, [FRONT, RIGHT, LEFT], BEV)
    assert torch.equal(again.pictures, pictures) and torch.equal(again.view[:, :, 1:], view[:, :, 1:])
    assert torch.equal(again.route, route) and torch.equal(again.agents["pose"], around.pose)
    none = mirrored(shown, ~both, [FRONT, RIGHT, LEFT], BEV)
    assert torch.equal(none.pictures, pictures) and torch.equal(none.view, view)


def test_another_light_is_the_same_in_all_cameras(drawn):
    pictures = drawn[1].expand(8, -1, -1, -1, -1)
    which = torch.arange(8) % 2 == 0
    other = recoloured(pictures, which, torch.Generator().manual_seed(0))
    assert torch.equal(other[~which], pictures[~which]) and other.dtype == torch.uint8
    brighter = (other.float().mean((2, 3, 4)) / pictures.float().mean((2, 3, 4)))[which]
    assert brighter.std(0).min() > 0.02 and brighter.std(1).max() < 0.05


def test_a_seed_decides_how_moments_are_shown(drawn):
    shown = Shown(drawn[1].expand(16, -1, -1, -1, -1), torch.ones(16, 10, 2), torch.ones(16, 64, 64, dtype=torch.uint8),
                  {"pose": torch.ones(16, 2, 3)}, {"pose": torch.ones(16, 2, 3)})  # fmt: skip
    a, b, c = (changed(shown, SPECS, BEV, seed) for seed in ([1, 2], [1, 2], [1, 3]))
    assert torch.equal(a.pictures, b.pictures) and not torch.equal(a.pictures, c.pictures)
    assert 0 < (a.route[:, 0, 1] < 0).sum() < 16


@pytest.mark.slow
def test_scenery_and_obstacles_are_learned(drawn):
    around, pictures, _ = drawn
    torch.manual_seed(0)
    perception = Perception(SPECS, BEV, width=24)
    looking = ("finder", "pixels", "picture", "shrink", "around", "grow")
    parts = [value for name, value in perception.named_parameters() if name.startswith(looking)]
    optimizer = torch.optim.Adam(parts, 4e-3)
    for _ in range(150):
        outputs = perception.finder(perception._picture(pictures.flatten(0, 1)))[None]
        losses = scenery_loss(perception.finder, outputs, around, SQUARES)
        optimizer.zero_grad()
        (losses["things"] + losses["places"]).backward()
        optimizer.step()
    found, obstacles = perception.finder.scenery(outputs.detach(), 32), perception.finder.obstacles(outputs.detach(), 4)
    seen = sightings(around, SQUARES)
    large = {int(t) for t, m, s in zip(seen.thing, seen.mask, seen.share, strict=True) if m.sum() > 20 and s > 0.6}
    large = [t for t in large if 0 < around.kind[0, t] < OBSTACLE]
    for thing in large:
        same = found.kind[0] == around.kind[0, thing]
        away = (found.pose[0, same, :2] - around.pose[0, thing, :2]).norm(dim=-1).amin()
        assert away < 1 + 0.1 * around.pose[0, thing, :2].norm()
    assert len(large) > 3
    cone = (around.kind[0] == OBSTACLE).nonzero()[0, 0]
    away = (obstacles.pose[0, :, :2] - around.pose[0, cone, :2]).norm(dim=-1)
    assert away[obstacles.kind[0] > 0].amin() < 1 + 0.1 * around.pose[0, cone, :2].norm()
