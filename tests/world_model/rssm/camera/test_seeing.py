"""What is seen in pictures, before anything is learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.spec import CAMERAS, BevSpec, CameraSpec, SemanticClass
from learned_sim_env.world_model.rssm.camera.painting.look import Look
from learned_sim_env.world_model.rssm.camera.painting.ranges import FARTHEST, as_bytes, from_bytes, log_range
from learned_sim_env.world_model.rssm.camera.perception.perception import SEEN_CLASSES, Perception

BEV, SPECS = BevSpec(), list(CAMERAS.values())


@pytest.fixture(scope="module")
def perception() -> Perception:
    torch.manual_seed(0)
    return Perception(SPECS, BEV, width=8).eval().requires_grad_(False)


def pictures(count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, 64, 96, 3), dtype=torch.uint8, generator=generator)


def straight(count: int = 2) -> torch.Tensor:
    return torch.stack([4.0 * torch.arange(1, 11), torch.zeros(10)], -1).expand(count, -1, -1)


def test_what_is_seen_is_a_view_without_the_ego(perception):
    percept = perception(pictures(), straight())
    assert percept.logits.shape == (2, SEEN_CLASSES, 64, 64) and percept.logits.dtype == torch.float32
    assert percept.kinds.shape == (2, 3, 3, 32, 48) and percept.depths.shape == (2, 3, 32, 48)
    view = percept.view()
    assert view.shape == (2, 64, 64) and view.dtype == torch.uint8 and (view < SemanticClass.EGO).all()


def test_places_are_seen_that_calibrations_show(perception):
    ground = BEV.pixel_centres().reshape(-1, 2)
    points = np.concatenate([np.column_stack([ground, np.full(len(ground), z)]) for z in (0.0, 1.3)])
    shown = np.zeros(len(points), bool)
    for camera in SPECS:
        row, column, depth = camera.project(points)
        shown |= (depth > 0.3) & (row >= 0) & (row < camera.height) & (column >= 0) & (column < camera.width)
    low, high = shown.reshape(2, 64, 64)
    seen = perception.seen.numpy()
    assert seen[low & high].all() and not seen[~high & ~low & (BEV.pixel_centres()[..., 0] < -3)].any()
    narrow = Perception([CameraSpec(fov=40.0)], BEV, width=8)
    assert narrow.seen.sum() < 0.5 * perception.seen.sum()


def test_the_route_changes_what_is_seen_where_it_leads(perception):
    left = straight() * torch.tensor([1.0, 0.0]) + torch.tensor([0.0, 1.0]) * torch.linspace(0, 15, 10)[:, None]
    change = (perception(pictures(), straight()).logits - perception(pictures(), left).logits).abs().mean((0, 1))
    towards = change[20:30, 10:25].mean()
    assert towards > 3 * change[58:, 48:].mean() and towards > 0


def test_ranges_are_kept_in_a_byte():
    ranges = log_range(torch.linspace(1.0, FARTHEST, 500))
    kept = as_bytes(ranges)
    assert kept.dtype == torch.uint8 and (kept.float() * from_bytes(1.0) - ranges).abs().max() < 0.01
    assert log_range(torch.tensor([1e4, FARTHEST])).diff() == 0


def test_a_look_is_read_off_whole_pictures():
    torch.manual_seed(0)
    look = Look(3, 5)
    code = look(pictures())
    assert code.shape == (2, 5) and code.abs().max() <= 1
    dark, rolled = pictures() // 4, pictures().roll(16, 3)
    # Where in a picture something is matters little, how bright it is matters a lot.
    assert (look(rolled) - code).abs().max() < 0.3 * (look(dark) - code).abs().max()
