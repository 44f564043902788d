"""Coming back in worlds that last, and in one that does not."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.drivers.route import RouteFollower
from learned_sim_env.evaluation.levels.return_trip.return_trip import ReturnConfig, return_trip
from learned_sim_env.evaluation.levels.return_trip.trips import (
    Pairs,
    Trip,
    came_round,
    circle,
    drive,
    looked_twice,
    moved,
)
from learned_sim_env.spec import CONTRACTS, NUM_STATIC_CLASSES, SemanticClass
from learned_sim_env.world_model.contexts import Contexts
from learned_sim_env.world_model.geometry import points_from, view_points
from learned_sim_env.world_model.rssm.camera.config import SIZES as CAMERA_SIZES
from learned_sim_env.world_model.rssm.camera.model import CameraWorldModel
from learned_sim_env.world_model.rssm.map.memory import UNKNOWN
from learned_sim_env.world_model.rssm.model import DrivingRSSM
from tests.evaluation.small import small_checkpoint
from tests.evaluation.world import BEV, CONTRACT, PIXEL, ground
from tests.toy_model import toy_checkpoint

CONFIG = ReturnConfig(contexts=4, steps=12, ago=(3, 12), circle=30, replicates=20)
EGO = int(SemanticClass.EGO)


class Forgetful(DrivingRSSM):
    """Imagines everything anew whenever it looks."""

    def draw(self, state, names):
        return super().draw({**state, "map": torch.full_like(state["map"], UNKNOWN)}, names)


@pytest.fixture(scope="module")
def small(world: PackedData) -> SimpleNamespace:
    return small_checkpoint(world)


@pytest.fixture(scope="module")
def trip(small: SimpleNamespace) -> Trip:
    driver = RouteFollower.from_ego(small.contexts.ego[:, -1])
    return drive(small, np.arange(4), driver, 40, seed=0)


def test_a_world_that_is_remembered_is_where_it_was(small: SimpleNamespace) -> None:
    part = return_trip(small, CONFIG)
    placed = part.values["placed_back"]
    assert list(placed) == ["3 steps ago", "12 steps ago", "12 steps back and forth"]
    for name, found in placed.items():
        # There and back is a sum of steps, which may round a pixel on an edge to its neighbour.
        wanted = 0.999 if "forth" in name else 1.0
        assert found["all"]["equal"]["value"] >= wanted, name
        assert found["all"]["drivable"]["value"] >= wanted and found["seen"]["route"]["value"] >= wanted
        assert found["all"]["pixels"] == pytest.approx(found["seen"]["pixels"] + found["imagined"]["pixels"])
        assert found["all"]["pixels"] > 3000
    # It got somewhere, so that it would have been noticed.
    assert part.values["mean_distance_m"]["12 steps ago"] > 4
    assert placed["12 steps ago"]["the view from the end"]["lines"]["value"] < 0.8
    assert 0.5 < placed["12 steps ago"]["a true view, resampled"]["drivable"]["value"] <= 1
    json.dumps(part.values, allow_nan=False)
    for table in part.tables:
        assert all(len(row) == len(table.head) for row in table.rows)
    for picture in part.pictures.values():
        # Not every row comes round in a circle.
        assert picture.shape[::2] == (2 * 64, 3) and picture.shape[1] in (64, 128, 192, 256)
        assert picture.dtype == np.uint8


def test_moments_without_a_view_from_above_do_as_well() -> None:
    torch.manual_seed(0)
    contract, rng = CONTRACTS["driving-camera"], np.random.default_rng(0)
    model = CameraWorldModel(CAMERA_SIZES["camera-tiny"], contract).eval().requires_grad_(False)
    observations = {
        m.name: (rng.random((2, 5, *m.shape)) * (200 if m.dtype == np.uint8 else 5)).astype(m.dtype)
        for m in map(contract.modality, model.observes)
    }
    contexts = Contexts(
        observations,
        actions=np.zeros((2, 5, 2), np.float32),
        tags=np.ones((2, 7), bool),
        scenarios=np.arange(2),
        replay=np.zeros((10, 2), np.float32),
        replay_starts=np.array([0, 5, 10]),
    )
    seen = SimpleNamespace(model=model, contract=contract, contexts=contexts)
    part = return_trip(seen, ReturnConfig(contexts=2, steps=4, ago=(2, 4), circle=3, replicates=5))
    for found in part.values["placed_back"].values():
        assert found["all"]["equal"]["value"] >= 0.999
    assert 0.5 < part.values["placed_back"]["4 steps ago"]["a true view, resampled"]["equal"]["value"] <= 1


def test_a_world_that_is_forgotten_is_not(small: SimpleNamespace) -> None:
    forgetful = Forgetful(small.model.config, CONTRACT).eval().requires_grad_(False)
    forgetful.load_state_dict(small.model.state_dict())
    placed = return_trip(SimpleNamespace(**{**vars(small), "model": forgetful}), CONFIG).values["placed_back"]
    assert placed["3 steps ago"]["all"]["drivable"]["value"] < 0.9
    assert placed["12 steps ago"]["all"]["drivable"]["value"] < 0.9
    assert placed["12 steps ago"]["all"]["equal"]["high"] < 1


def test_what_was_really_seen_is_what_the_context_showed(small: SimpleNamespace, trip: Trip) -> None:
    context = torch.from_numpy(small.contexts.observations["bev"][:, -1])
    assert trip.seen[:, 0][context < NUM_STATIC_CLASSES].all()
    points = points_from(view_points(BEV), trip.pose[:, -1])
    row, column = (x.view(4, 64, 64) for x in BEV.pixels(points))
    assert (row < -5).any(), "nobody got to see anything new"
    margin = 2
    inside = (row > margin) & (row < 63 - margin) & (column > margin) & (column < 63 - margin)
    ahead = row < -margin
    assert not trip.seen[:, -1][ahead].any()
    # But for where a car and the ego hid the ground.
    assert trip.seen[:, -1][inside].float().mean() > 0.95


def test_a_view_is_moved_by_whole_pixels() -> None:
    view = torch.from_numpy(np.random.default_rng(0).integers(0, 5, (1, 64, 64))).to(torch.uint8)
    found = moved(view, torch.tensor([[3 * PIXEL, -2 * PIXEL, 0.0]]), BEV)
    assert torch.equal(found[:, 3:, :-2], view[:, :-3, 2:])
    assert (found[:, :3] == EGO).all() and (found[:, :, -2:] == EGO).all()


def test_looking_twice_costs_nothing_on_the_grid_and_thin_lines_off_it() -> None:
    view = torch.from_numpy(ground(BEV.pixel_centres()))[None]
    first, later = torch.tensor([[PIXEL, 0.0, 0.0]]), torch.tensor([[3 * PIXEL, PIXEL, 0.0]])

    def wrong(pairs: Pairs) -> float:
        return float((pairs.first != pairs.later)[pairs.compared].float().mean())

    assert wrong(looked_twice(view, first, later, BEV)) == 0
    first, later = torch.tensor([[0.6 * PIXEL, 0.4 * PIXEL, 0.3]]), torch.tensor([[0.2 * PIXEL, 0.9 * PIXEL, -0.2]])
    assert 0.005 < wrong(looked_twice(view, first, later, BEV)) < 0.1


def test_only_ground_that_both_show_is_compared() -> None:
    first = torch.tensor([[[0, 1, 6, 8, 5]]], dtype=torch.uint8)
    later = torch.tensor([[[1, 7, 1, 1, 5]]], dtype=torch.uint8)
    pairs = Pairs.of(first, later)
    assert pairs.compared.tolist() == [[[True, False, False, False, True]]]
    assert pairs.only(first == 5).compared.tolist() == [[[False] * 4 + [True]]]


def test_circles_are_closed_where_the_ego_is_nearest_to_where_it_was() -> None:
    angle = torch.arange(0, 41) * 0.2
    left = torch.stack([5 * torch.sin(angle), 5 - 5 * torch.cos(angle), torch.remainder(angle + 3, 6.2832) - 3], -1)
    straight = torch.stack([angle * 5, 0 * angle, 0 * angle], -1)
    # Back after most of a turn, but heading elsewhere.
    askew = torch.cat([straight[:20], straight[:21].flip(0)])
    pose = torch.stack([straight, left, askew])
    nothing = torch.zeros(3, 41, 2, 2)
    trip = Trip(nothing.to(torch.uint8), nothing > 0, pose, {})
    rows, first, later = came_round(trip, (1.0, 0.2))
    assert rows.tolist() == [1]
    # 2 pi is 31.4 steps: 31 are nearest.
    assert (later - first).tolist() == [31]
    rows, *_ = came_round(trip, (0.1, 0.2))
    assert rows.tolist() == []


def test_a_drive_in_a_circle_is_compared_if_it_closes(world: PackedData) -> None:
    turning = small_checkpoint(world)
    original = turning.model.ego_path.imagine

    def imagine(motions, actions, speed, action):
        motions, actions, speed = original(motions, actions, speed, action)
        motions[:, -1] = torch.tensor([0.75, 0.0, 0.4])
        return motions, actions, speed

    turning.model.ego_path.imagine = imagine
    values = return_trip(turning, CONFIG).values["circle"]
    assert values["rows_that_came_round"] == 4
    assert values["median_distance_apart_m"] < 1
    for name in ("drivable", "lines", "equal"):
        # No worse than a view moved by its pixels; lines better, whose place is known more closely.
        better = values["seen"][name]["value"] - values["a true view, resampled"][name]["value"]
        assert -0.05 < better < (0.15 if name == "lines" else 0.05), name
    straight = return_trip(small_checkpoint(world), ReturnConfig(4, 2, (1,), circle=3, replicates=5)).values["circle"]
    assert straight == {"rows_that_came_round": 0, "median_distance_apart_m": None}


def test_the_driver_turns_as_tightly_as_it_can() -> None:
    ego = np.zeros((3, 6), np.float32)
    ego[:, 0] = 2.0, 4.0, 9.0
    action = circle(4.0, CONTRACT)(ego)
    assert action.dtype == np.float32
    np.testing.assert_allclose(action, [[-1, 0.6], [1, 0], [-1, -1]], atol=1e-6)


def test_what_makes_no_sense_is_refused() -> None:
    for setting in ({"contexts": 0}, {"steps": 0}, {"circle": 0}, {"replicates": 0}, {"ago": ()}, {"ago": (31,)}):
        with pytest.raises(ValueError, match=next(iter(setting))):
            ReturnConfig(**setting)
    with pytest.raises(ValueError, match="ToyModel has no map memory"):
        return_trip(toy_checkpoint(), CONFIG)
