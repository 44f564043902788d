"""Training of scenery's births, on drives along a road made by hand with trees in rows beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.data.episode import SCENERY_SLOTS
from learned_sim_env.road import STATIONS
from learned_sim_env.spec import CONTRACTS, SceneryKind, SemanticClass
from learned_sim_env.training.rssm.camera import births_calibration
from learned_sim_env.training.rssm.camera.births import BirthsObjective, decided, examples, standing, true_route
from learned_sim_env.training.rssm.camera.births_calibration import calibrate, drives, fresh, least_distances
from learned_sim_env.training.rssm.camera.moments import Moments
from learned_sim_env.world_model.rssm.camera.scenery.births import SceneryBirths
from learned_sim_env.world_model.rssm.camera.scenery.lattice import FAR_REACH, LARGE, NEAR_REACH
from tests.training.rssm.camera.recorded import Recorded

CONTRACT = CONTRACTS["driving-camera"]
BEV, HALF, APART = CONTRACT.bev, 5.0, 12.0
STEPS = 60
# [m] Places along x of trees on each side, and of lamps: not quite evenly spaced, or hardly anything that is drawn
# would stand as far from its neighbours as the nearest of these do.
ALONG = np.arange(-120.0, 240.0, APART) + np.random.default_rng(0).uniform(-2, 2, (3, 30))
TREES = np.concatenate(
    [np.stack([x + 1, x * 0 + y], -1) for x, y in zip(ALONG[:2], (HALF + 9, -HALF - 9), strict=True)]
)
LAMPS = np.stack([ALONG[2] + 5, ALONG[2] * 0 - HALF - 1.6], -1)


@pytest.fixture(scope="module")
def moments() -> Moments:
    """Two drives along x, a metre a step; about every `APART` metres a tree nine metres beside the road on either side,
    and a lamp at its right edge.
    """
    places = np.concatenate([TREES, LAMPS])
    kinds = np.repeat([SceneryKind.TREE, SceneryKind.LAMP], [len(TREES), len(LAMPS)])
    across = BEV.pixel_centres()[..., 1]
    rows = []
    for y in (1.0, -2.0):
        for step in range(STEPS + 1):
            away = np.hypot(*(places - [step, y]).T)
            near = np.argsort(away)[: np.count_nonzero(away < 80)][:SCENERY_SLOTS]
            kind, pose, size = (
                np.zeros(SCENERY_SLOTS, np.uint8),
                np.zeros((SCENERY_SLOTS, 3)),
                np.ones((SCENERY_SLOTS, 3)),
            )
            kind[: len(near)], pose[: len(near), :2], pose[: len(near), 2] = kinds[near], places[near], 0.5
            size[: len(near)] *= 5
            rows.append(
                {
                    "map": np.where(np.abs(across + y) <= HALF, SemanticClass.ROAD, SemanticClass.OFF_ROAD).astype(
                        np.uint8
                    ),
                    "ego_pose": np.array([step, y, 0.0]),
                    "ego": np.array([10, 0, 0, 0, y, 0], np.float32),
                    "route_headings": np.zeros(STATIONS, np.float32),
                    "scenery_kinds": kind,
                    "scenery_poses": pose.astype(np.float32),
                    "scenery_sizes": size.astype(np.float32),
                }
            )
    arrays = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return Moments(Recorded(arrays), np.arange(len(rows)), np.repeat([0, 1], STEPS + 1), ())


@pytest.fixture
def births() -> SceneryBirths:
    torch.manual_seed(0)
    return SceneryBirths(BEV, 128, hidden=32)


def test_what_stands_in_the_squares_that_are_due(moments, births):
    now = np.array([15, 20, 25, 30, 35, 40, 85, 90, 95, 100, 105, 110])
    state, squares, true = examples(births, moments, now, now - 3, np.random.default_rng(0))
    kind, which = standing(births, squares, true)
    place = true["scenery_pose"][squares.row, which][kind > 0]
    assert (kind > 0).sum() >= 3 and ((place[:, :2] - squares.middle[kind > 0]).abs() <= births.lattice.side / 2).all()
    assert set(kind[squares.stage == 0].tolist()) <= {0, SceneryKind.TREE}
    assert set(kind[squares.stage == LARGE].tolist()) <= {0, SceneryKind.LAMP}
    # What is known is what was in reach before, and nothing of it is due.
    known, far = decided(births, true, state), (true["scenery_pose"] - state["pose"][:, None])[..., :2].norm(dim=-1)
    lamps = true["scenery_kind"] == SceneryKind.LAMP
    assert known.any() and far[known & lamps].max() < NEAR_REACH + 5
    assert (
        not (known[squares.row] & births.in_squares(squares, true))[kind > 0, :].gather(1, which[kind > 0, None]).any()
    )
    # The route goes along the road, wherever the frame is.
    route = true_route(moments, now, state["pose"])
    ends = (route[:, -1, :2] - route[:, 1, :2]).norm(dim=-1)
    torch.testing.assert_close(ends, torch.full((12,), 4.0 * (STATIONS - 1)), atol=0.01, rtol=0)
    first = births.view._at(state, route[:, 2:8, :2])
    assert (first == SemanticClass.ROAD).all()


def test_distances_are_those_of_the_data(moments, births):
    least = least_distances(moments)
    tree, lamp = int(SceneryKind.TREE), int(SceneryKind.LAMP)
    trees, lamps = (torch.from_numpy(p[np.abs(p[:, 0] - STEPS / 2) < STEPS / 2 + 30]) for p in (TREES, LAMPS))
    assert least[tree, tree] == pytest.approx(torch.pdist(trees).min().item(), abs=0.01)
    assert least[lamp, lamp] == pytest.approx(torch.pdist(lamps).min().item(), abs=0.01)
    assert least[tree, lamp] == pytest.approx(torch.cdist(trees, lamps).min().item(), abs=0.01)
    assert least[SceneryKind.HOUSE].max() == 0
    sizes = births_calibration.size_quantiles(moments)
    assert (sizes[tree - 1] == 5).all() and (sizes[SceneryKind.HOUSE - 1] == 1).all()
    clear = births_calibration.road_distances(moments, births.memory)
    margin = 2**0.5 * BEV.metres_per_pixel
    assert clear[tree] == pytest.approx(9 - margin, abs=0.5) and clear[lamp] == pytest.approx(1.6 - margin, abs=0.5)
    # So that what truly stands there is never taken for a mistake, in a grid that lies anyhow.
    births.clear.copy_(clear)
    now = np.arange(10, 60, 2)
    state, _, true = examples(births, moments, now, now - 3, np.random.default_rng(0))
    kind = true["scenery_kind"].long()
    mistaken = births._on_road(true["scenery_pose"][..., :2], kind, state) & (kind > 0)
    assert (kind > 0).sum() > 500 and not mistaken.any()


@pytest.mark.slow
def test_what_is_born_is_like_what_it_learned_from(moments, births, monkeypatch):
    data = {"train": moments, "validation": moments}
    objective = BirthsObjective(births, data, batch_size=8)
    optimizer = torch.optim.AdamW(births.parameters(), 3e-3)
    losses = []
    for step in range(200):
        loss, parts = objective.loss("train", objective.batch("train", step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(parts["scenery"]))
    assert np.mean(losses[-20:]) < 0.6 * np.mean(losses[10:30])
    monkeypatch.setattr(births_calibration, "DRIVES", 8)
    monkeypatch.setattr(births_calibration, "STEPS", 50)
    births.eval().requires_grad_(False)
    shares = calibrate(births, moments)
    assert 0.6 < shares["births_of_kind_1"] < 1.5 and 0.6 < shares["births_of_kind_6"] < 1.5
    found = []
    for before, state, _ in drives(births, moments, np.array([0, 61]), 50, 5):
        new = decided(births, state, state) & ~decided(births, state, before)
        # In the world's frame, whose y is across the road: drives begin at 1 and -2.
        y = state["scenery_pose"][..., 1] + torch.tensor([[1.0], [-2.0]])
        found += list(zip(state["scenery_kind"][new].tolist(), y[new].tolist(), strict=True))
    kinds, y = np.array([kind for kind, _ in found]), np.abs([y for _, y in found])
    assert set(kinds) == {SceneryKind.TREE, SceneryKind.LAMP}
    assert np.median(y[kinds == SceneryKind.TREE]) == pytest.approx(HALF + 9, abs=2.5)
    assert np.median(y[kinds == SceneryKind.LAMP]) == pytest.approx(HALF + 1.6, abs=0.6)


def test_nothing_is_fresh_that_was_decided_before(moments, births):
    births.eval().requires_grad_(False)
    steps = list(drives(births, moments, np.array([0]), 3, 0))
    reach = torch.tensor([FAR_REACH])
    for before, state, true in steps:
        assert fresh(births, true, state, state, reach).sum() == 0
        assert fresh(births, true, before, state, reach).sum() <= decided(births, true, state).sum()
