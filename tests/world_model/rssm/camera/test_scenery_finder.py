"""What is read off the outputs of the finder of scenery, before anything is learned; what two looks tell together."""

from __future__ import annotations

import math

import pytest
import torch

from learned_sim_env.spec import CAMERAS, BevSpec, SceneryKind, SemanticClass
from learned_sim_env.world_model.rssm.camera.perception.perception import Percept, Perception
from learned_sim_env.world_model.rssm.camera.perception.scenery_finder import (
    KINDS,
    MOVER,
    OBSTACLE,
    RANGE,
    REGRESSED,
    Found,
    SceneryFinder,
)

SPECS = list(CAMERAS.values())


@pytest.fixture(scope="module")
def finder() -> SceneryFinder:
    torch.manual_seed(0)
    return SceneryFinder(SPECS, 2, 8, coarse=8).eval().requires_grad_(False)


def outputs(finder: SceneryFinder, *things: tuple[int, int, tuple[float, ...]], logit: float = 3.0) -> torch.Tensor:
    """As of a finder that sees things (camera, kind, (x, y, heading, length, width, height)), each in one picture."""
    out = torch.zeros(1, len(SPECS), KINDS + REGRESSED, 32, 48)
    out[:, :, :KINDS] = -6.0
    for camera, kind, (x, y, heading, *size) in things:
        bearing, distance = math.atan2(y, x), math.hypot(x, y)
        column = (finder.bearing[camera, 16] - bearing).abs().argmin()
        at = out[0, camera, :, 15, column]
        at[kind - 1] = logit
        turn = heading - bearing
        at[KINDS:] = torch.tensor(
            [
                (bearing - finder.bearing[camera, 15, column].item()) / finder.square,
                math.log(distance / RANGE),
                *(torch.tensor(size) / finder.common_sizes[kind]).log().tolist(),
                *(f(n * turn) for n in (1, 2) for f in (math.cos, math.sin)),
            ]
        )
    return out


HOUSE = (0, SceneryKind.HOUSE, (31.0, 9.0, 0.7, 12.0, 8.0, 6.0))
LAMP = (2, SceneryKind.LAMP, (9.0, -12.0, -2.0, 0.18, 0.18, 7.5))


def test_things_are_where_outputs_say(finder):
    found = finder.scenery(outputs(finder, HOUSE, LAMP), 4)
    assert found.kind.tolist() == [[SceneryKind.HOUSE, SceneryKind.LAMP, 0, 0]]
    torch.testing.assert_close(found.pose[0, 0], torch.tensor([31.0, 9.0, 0.7]), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.pose[0, 1], torch.tensor([9.0, -12.0, -2.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.size[0, :2], torch.tensor([HOUSE[2][3:], LAMP[2][3:]]), atol=1e-3, rtol=1e-3)
    assert found.score[0, :2].tolist() == pytest.approx([1 / (1 + math.exp(-3))] * 2)
    assert not found.pose[0, 2:].any() and not found.score[0, 2:].any()
    assert not finder.scenery(outputs(finder, HOUSE, LAMP, logit=-2.0), 4).kind.any()


def test_what_two_cameras_show_is_one_thing(finder):
    seam = (12.0, 7.0, 0.0, 5.0, 5.0, 8.0)
    nearly = (12.4, 7.6, 0.0, 5.2, 5.2, 8.0)
    both = outputs(finder, (0, SceneryKind.TREE, seam), (1, SceneryKind.CONIFER, nearly))
    assert (finder.scenery(both, 4).kind > 0).sum() == 1
    apart = outputs(finder, (0, SceneryKind.TREE, seam), (1, SceneryKind.TREE, (19.0, 11.0, *seam[2:])))
    assert (finder.scenery(apart, 4).kind > 0).sum() == 2
    # A lamp before a tree is not that tree.
    before = outputs(finder, (0, SceneryKind.TREE, seam), (1, SceneryKind.LAMP, seam))
    assert (finder.scenery(before, 4).kind > 0).sum() == 2


def test_those_that_look_largest_come_first_and_the_rest_is_left_out(finder):
    trees = [(0, SceneryKind.TREE, (d, 3.0 - d / 5, 0.0, 5.0, 5.0, 8.0)) for d in (50.0, 12.0, 30.0)]
    found = finder.scenery(outputs(finder, *trees), 2)
    torch.testing.assert_close(found.pose[0, :, 0], torch.tensor([12.0, 30.0]), atol=1e-2, rtol=0)


def test_what_moves_is_neither_scenery_nor_an_obstacle(finder):
    seen = outputs(finder, (0, MOVER, (18.0, 2.0, -2.5, 4.4, 1.8, 1.5)), HOUSE)
    assert not finder.obstacles(seen, 2).kind.any()
    assert finder.scenery(seen, 2).kind.tolist() == [[SceneryKind.HOUSE, 0]]


def found(*things: tuple[int, float, float, float]) -> Found:
    """Trees of kind, x, y and score."""
    kind, x, y, score = (torch.tensor(v) for v in zip(*things, strict=True))
    pose = torch.stack([x, y, torch.zeros_like(x)], -1)
    return Found(pose[None], torch.full((1, len(things), 3), 5.0), kind[None].to(torch.uint8), score[None])


EMPTY = (0, 0.0, 0.0, 0.0)


def test_a_further_look_moves_adds_and_forgets(finder):
    tree, lamp = int(SceneryKind.TREE), int(SceneryKind.LAMP)
    old = found((tree, 20.0, 0.0, 0.9), (tree, -9.0, 3.0, 0.5), (tree, 15.0, -8.0, 0.5), (lamp, 30.0, 9.0, 0.2))
    new = found((tree, 21.0, 0.0, 0.6), (tree, 40.0, 10.0, 0.7), EMPTY, EMPTY)
    known = finder.merged(old, new)
    rows = zip(*(v[0].tolist() for v in (known.pose, known.score, known.kind)), strict=True)
    places = {tuple(pose[:2]): round(score, 3) for pose, score, kind in rows if kind}
    # The first is moved; the second is behind; the third should have been seen; the lamp was doubtful already.
    assert places == {(20.5, 0.0): 0.9, (40.0, 10.0): 0.7, (-9.0, 3.0): 0.5, (15.0, -8.0): 0.25}
    again = finder.merged(known, new)
    assert (again.pose[0, :, 1] == -8.0).sum() == 0 and (again.pose[0, :, 0] == -9.0).sum() == 1


def test_an_obstacle_is_put_into_the_view():
    torch.manual_seed(0)
    perception = Perception(SPECS, BevSpec(), width=8).eval().requires_grad_(False)
    things = outputs(perception.finder, (0, OBSTACLE, (15.0, 1.5, 0.0, 0.4, 0.4, 0.75)))
    logits = torch.zeros(1, int(SemanticClass.EGO), 64, 64)
    logits[:, SemanticClass.ROAD] = 5.0
    percept = Percept(logits, torch.zeros(1), torch.zeros(1), things, perception._obstacles(things))
    view = percept.view()
    assert (view == SemanticClass.STATIC_OBJECT).nonzero().tolist() == [[0, 48 - 20, 32 - 2]]
    assert (view == SemanticClass.ROAD).sum() == 64 * 64 - 1
    assert not perception.scenery(percept, 8).kind.any()
