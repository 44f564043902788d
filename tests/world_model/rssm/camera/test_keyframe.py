"""Keyframes: what pictures that are remembered say of the present ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.spec import CAMERAS, SceneryKind, SemanticClass
from learned_sim_env.world_model.rssm.camera.painting.casting import AGENT, FAR, FIRST, Outlines, cast
from learned_sim_env.world_model.rssm.camera.painting.keyframe import (
    BASE,
    CHANNELS,
    FAR_OFF,
    SETTLED,
    SOURCES,
    Hypotheses,
    Keyframe,
    Looked,
    remembered,
)
from learned_sim_env.world_model.rssm.camera.painting.ranges import FARTHEST, from_bytes
from learned_sim_env.world_model.rssm.camera.painting.rig import Rig
from learned_sim_env.world_model.rssm.camera.painting.things import Things, before
from tests import scenes
from tests.world_model.rssm.camera.street import CROWD, DAY, NOBODY, RIG, STREET, as_things, boxes, pictures

pytest.importorskip("cv2", reason="drawing needs OpenCV, which the simulators' extras bring")

from learned_sim_env.rendering.camera import CameraClass, CameraRenderer


def key_of(frame: torch.Tensor, things: Things, agents: int, turned: float) -> Keyframe:
    hits = cast(RIG, things, agents)
    shown, _ = remembered(frame, RIG, hits, torch.ones(len(hits.ray), dtype=torch.bool), things.shape.shape[1])
    return Keyframe.of(shown, shown[:, :, : RIG.skyline], torch.tensor([turned]), torch.zeros(1))


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
    hits = cast(RIG, things, 1)
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


def test_what_is_far_off_comes_nearer_only_as_long_as_it_may_still_arrive():
    frame = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (1, 3, 64, 96, 3), dtype=np.uint8))
    nobody = as_things(NOBODY, (0.0, 500.0, 0.0, 1.0, 1.0, 1.0, SceneryKind.POST))
    motion, hits = torch.tensor([[11.0, 0.5, 0.1]]), cast(RIG, nobody, 0)
    turned = motion * torch.tensor([0.0, 0.0, 1.0])

    def far_off(generation: float, motion: torch.Tensor) -> torch.Tensor:
        key = key_of(frame, nobody, 0, 0.1)._replace(generation=torch.tensor([generation]))
        return Hypotheses(RIG)(key, motion, hits, nobody, nobody).behind[0, FAR_OFF]

    there, near = far_off(SETTLED, motion), far_off(SETTLED - 1, motion)
    assert torch.equal(far_off(0, motion), near) and not torch.equal(near, there)
    assert torch.allclose(there, far_off(0, turned), atol=1e-3)


def test_a_keyframe_tells_how_far_away_and_of_what_colour_things_are():
    green = torch.zeros(1, 3, 64, 96, 3, dtype=torch.uint8)
    green[..., 1] = 200
    things = as_things(CROWD, STREET)
    agents = things.shape.shape[1] - len(STREET)
    hits = cast(RIG, things, agents)
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
    hits = cast(RIG, things, things.shape.shape[1])
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
    hits = cast(RIG, things, agents)
    together = Hypotheses(RIG)(key, motion, hits, things, then).behind
    for number, camera in enumerate(CAMERAS.values()):
        look_up, pixels = Hypotheses(RIG, Rig([camera])), slice(number * 64 * 96, (number + 1) * 64 * 96)
        mine = cast(look_up.painted, things, agents, outlines.of_cameras(range(number, number + 1)))
        assert torch.equal(mine.depth, hits.depth[..., pixels]) and len(mine.ray) > 100
        alone = look_up(key, motion, mine, things, then).behind
        assert torch.allclose(alone, together[..., pixels], atol=1e-4)
