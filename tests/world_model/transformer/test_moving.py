"""The frame before, moved with the ego."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.evaluation import baselines
from learned_sim_env.evaluation.levels.cameras.frame_baselines import warped_over_ground
from learned_sim_env.road import road_index
from learned_sim_env.scene import RoadMap, relative_motion
from learned_sim_env.spec import Modality, SemanticClass
from learned_sim_env.spec.modality import BEV, FRONT, LEFT, RIGHT, ROUTE
from learned_sim_env.world_model.transformer.model import DrivingTransformer
from learned_sim_env.world_model.transformer.moving import Moving, route_ahead
from tests.tiny_transformer import some

MOTIONS = torch.tensor([[1.5, 0.0, 0.0], [0.0, 0.0, 0.1], [1.2, 0.03, -0.05], [0.0, 0.0, 0.0], [2.1, -0.02, 0.08]])
SPEED = Modality("speed", "vector", (1,), fields=("speed",), bounds=(60.0,))


def shown(rows: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    pictures = {m.name: torch.randint(256, (rows, *m.shape), dtype=torch.uint8) for m in (FRONT, LEFT, RIGHT)}
    view = torch.randint(8, (rows, *BEV.shape), dtype=torch.uint8)
    return {**pictures, "bev": view, "route": 40 * torch.rand(rows, 10, 2), "speed": torch.rand(rows, 1)}


EVERY = Moving([FRONT, BEV, LEFT, SPEED, RIGHT, ROUTE])


@torch.no_grad()
def test_a_view_from_above_moves_by_pixels_and_the_ego_stays() -> None:
    """1.5 m ahead is two pixels down; what comes into view is off-road, and where the ego was stays the ground."""
    view = torch.zeros(1, 64, 64, dtype=torch.uint8)
    view[:, :, 28:36] = SemanticClass.ROAD
    view[:, 10, 30] = SemanticClass.VEHICLE
    view[:, 0] = SemanticClass.SOLID_LINE
    view[:, 45:52, 31:34] = SemanticClass.EGO
    moved = Moving([BEV])({"bev": view}, torch.tensor([[1.5, 0.0, 0.0]]))["bev"]
    expected = view.clone()
    expected[:, 10, 30] = SemanticClass.ROAD
    expected[:, 12, 30] = SemanticClass.VEHICLE
    expected[:, 2] = SemanticClass.SOLID_LINE
    expected[:, :2] = SemanticClass.OFF_ROAD
    # Of what was under the ego there is no more to tell than before it moved.
    expected[:, 52:54, 31:34] = view[:, 52:54, 31:34]
    assert torch.equal(moved, expected)


@torch.no_grad()
def test_a_view_from_above_is_that_of_the_baseline() -> None:
    """Which is given true poses of a simulator, and takes the ego out beforehand."""
    view = shown(len(MOTIONS))["bev"]
    moved = Moving([BEV])({"bev": view}, MOTIONS)["bev"]
    assert torch.equal(moved, baselines.warp(view, MOTIONS[:, None], BEV.bev)[:, 0])  # type: ignore[arg-type]
    assert not torch.equal(moved[0], view[0]) and torch.equal(moved[3], view[3])


@torch.no_grad()
def test_cameras_move_as_the_baseline_does() -> None:
    frames = shown(len(MOTIONS))
    moved = EVERY(frames, MOTIONS)
    for m in (FRONT, LEFT, RIGHT):
        assert m.camera is not None
        alone = warped_over_ground(frames[m.name].numpy(), MOTIONS[:, None].numpy(), m.camera)[:, 0]
        assert np.array_equal(alone, moved[m.name])
        assert not torch.equal(moved[m.name][0], frames[m.name][0]) and torch.equal(moved[m.name][3], frames[m.name][3])


@torch.no_grad()
def test_what_has_no_geometry_stays() -> None:
    frames = shown(len(MOTIONS))
    moved = EVERY(frames, MOTIONS)
    assert list(moved) == ["front", "bev", "left", "speed", "right", "route"]
    assert torch.equal(moved["speed"], frames["speed"])
    unknown = Modality("camera", "rgb", (8, 8, 3))
    picture = torch.randint(256, (5, 8, 8, 3), dtype=torch.uint8)
    assert torch.equal(Moving([unknown])({"camera": picture}, MOTIONS)["camera"], picture)


def test_waypoints_stay_as_far_ahead_along_the_route() -> None:
    straight = torch.stack([4 * torch.arange(1, 11.0), torch.full((10,), -1.0)], -1)[None]
    # Driven along it, and beside it to the left.
    ahead = route_ahead(straight, torch.tensor([[1.5, 0.0, 0.0]]))
    torch.testing.assert_close(ahead, straight)
    beside = route_ahead(straight, torch.tensor([[1.0, 0.5, 0.0]]))
    torch.testing.assert_close(beside, straight - torch.tensor([0.0, 0.5]))
    # Turned by a quarter to the left, what was ahead is to the right.
    turned = route_ahead(straight, torch.tensor([[0.0, 0.0, np.pi / 2]]))
    torch.testing.assert_close(turned, torch.stack([straight[..., 1], -straight[..., 0]], -1), atol=1e-5, rtol=0)


def test_waypoints_of_a_bend_are_nearly_those_of_its_map() -> None:
    """Round a bend of 30 m and beside the route, in steps of up to 2 m; what lies behind the last one is not known."""
    angle, rng = np.linspace(0.0, 5.0, 500), np.random.default_rng(0)
    index = road_index(RoadMap((), (), 30 * np.stack([np.cos(angle), np.sin(angle)], -1)))
    errors, copied = [], []
    for begin in rng.uniform(0.1, 3.0, 50):
        beside, further, *askew = rng.normal(0, [0.5, 0.1, 0.05, 0.05])
        where = [begin, begin + rng.uniform(0, 2) / 30]
        radius = np.array([30 + beside, 30 + beside + further])
        poses = np.stack([radius * np.cos(where), radius * np.sin(where), np.array(where) + np.pi / 2 + askew], -1)
        before, after = (torch.from_numpy(index.waypoints(pose))[None] for pose in poses)
        motion = torch.from_numpy(relative_motion(*poses)).float()[None]
        errors.append((route_ahead(before, motion) - after)[0, :-1].norm(dim=-1).max())
        copied.append((before - after)[0, :-1].norm(dim=-1).max())
    assert max(errors) < 0.15 and np.median(errors) < 0.1 * np.median(copied)


@torch.inference_mode()
@pytest.mark.parametrize("rows", [1, 2, 3, 5])
def test_rows_are_the_same_bit_for_bit_alone_and_among_others(rows: int) -> None:
    frames, every = shown(5), EVERY(shown(5), MOTIONS)
    for first in range(6 - rows):
        which = slice(first, first + rows)
        alone = EVERY({name: value[which] for name, value in frames.items()}, MOTIONS[which])
        for name, value in alone.items():
            assert torch.equal(value, every[name][which]), name


@torch.inference_mode()
def test_tokens_of_moved_frames_are_the_same_bit_for_bit_alone_and_among_others(model: DrivingTransformer) -> None:
    frames, tokens = some(model, 5, 1), torch.zeros(5, model.tokenizer.count, 32)
    frames.pop("ego")
    every = model.moved(tokens, frames, MOTIONS)
    for row in range(5):
        alone = model.moved(tokens[:1], {n: x[row : row + 1] for n, x in frames.items()}, MOTIONS[row : row + 1])
        assert torch.equal(alone[0], every[row])


@torch.inference_mode()
def test_clips_are_moved_frame_by_frame(model: DrivingTransformer) -> None:
    tokens = torch.rand(2, 3, model.tokenizer.count, 32) - 0.5
    motion = MOTIONS[:3].expand(2, 3, 3)
    moved = model.moved_clips(tokens, motion)
    for t, last, way in ((0, 0, torch.zeros(2, 3)), (1, 0, motion[:, 1]), (2, 1, motion[:, 2])):
        before = tokens[:, last].half()
        assert torch.equal(moved[:, t], model.moved(before, model.tokenizer.drawn(before, model.draws), way))
