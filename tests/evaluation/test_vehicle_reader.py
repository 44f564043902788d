"""Vehicles of the view from above, found again in the picture of the road ahead."""

from __future__ import annotations

import numpy as np
import torch

from learned_sim_env.evaluation.levels.cameras.vehicle_reader import APART, looked_at, places, trained_reader
from learned_sim_env.spec import CONTRACTS, SemanticClass

CONTRACT = CONTRACTS["driving-camera"]
BEV = CONTRACT.bev
CAMERA = CONTRACT.modality("front").camera
assert CAMERA is not None


def view(*vehicles: tuple[float, float]) -> np.ndarray:
    """(H, W) uint8: road everywhere, with vehicles of 4.5 by 1.9 m around places [m]."""
    x, y = np.moveaxis(BEV.pixel_centres(), -1, 0)
    found = np.full(x.shape, SemanticClass.ROAD, np.uint8)
    for ahead, aside in vehicles:
        found[(abs(x - ahead) < 2.25) & (abs(y - aside) < 0.95)] = SemanticClass.VEHICLE
    return found


def painted(views: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N, H, W, 3) uint8: grey noise, and vehicles as boxes of one colour each."""
    pictures = rng.integers(90, 130, (len(views), CAMERA.height, CAMERA.width, 3)).astype(np.uint8)
    found = places(views, BEV, CAMERA)
    for frame, box in zip(found.frame[found.there], found.box[found.there]):
        top, left, bottom, right = np.clip(np.round(box), 0, 96).astype(int)
        pictures[frame, top:bottom, left:right] = rng.integers(0, 256, 3)
    return pictures


def test_vehicles_are_where_the_camera_has_them() -> None:
    found = places(view((15.0, 0.0))[None], BEV, CAMERA)
    assert found.there.tolist() == [True, False] and found.frame.tolist() == [0, 0]
    top, left, bottom, right = found.box[0]
    # Its rear is nearer than its middle and as wide, and it stands on the ground below the horizon.
    row, column, depth = CAMERA.project(np.array([[12.75, 0.95, 0.0], [12.75, -0.95, 0.0], [12.75, 0.0, 1.5]]))
    assert abs(left - column[0]) < 2 and abs(right - column[1]) < 2 and abs(bottom - row[0]) < 2
    assert top < bottom and abs(top - row[2]) < 2
    # The empty place is beside it.
    assert found.box[1, 1] >= right or found.box[1, 3] <= left or found.box[1, 0] > bottom
    assert APART > 1.9


def test_what_is_not_seen_is_not_asked_for() -> None:
    # One behind another, one behind the ego, one beside the picture, one too far away.
    hidden = places(view((10.0, 0.0), (20.0, 0.0))[None], BEV, CAMERA)
    assert hidden.there.sum() == 1 and hidden.box[0, 2] > 40
    for place in ((-8.0, 0.0), (3.0, 12.0), (34.0, 0.0)):
        assert not places(view(place)[None], BEV, CAMERA).there.any()
    # No road is no empty road.
    assert len(places(np.zeros((1, 64, 64), np.uint8), BEV, CAMERA).frame) == 0


def test_the_reader_tells_vehicles_from_road_and_notices_where_views_disagree() -> None:
    rng = np.random.default_rng(0)
    cars = [[(rng.uniform(8, 28), rng.uniform(-4, 4)) for _ in range(rng.integers(0, 3))] for _ in range(240)]
    views = np.stack([view(*some) for some in cars])
    pictures = painted(views, rng)
    lessons = places(views[:160], BEV, CAMERA)
    eye = trained_reader(looked_at(pictures[:160], lessons), lessons.there)

    def named(shown: np.ndarray) -> tuple[float, float]:
        found = places(views[160:], BEV, CAMERA)
        with torch.inference_mode():
            said = (eye(looked_at(shown, found))[:, 0] > 0).numpy()
        return float(said[found.there].mean()), float(said[~found.there].mean())

    shown, empty = named(pictures[160:])
    assert shown > 0.9 and empty < 0.1
    # Frames of other moments.
    assert named(np.roll(pictures[160:], 7, 0))[0] < 0.75
