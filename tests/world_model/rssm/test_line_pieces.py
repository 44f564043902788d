"""Lines keep their place within cells."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learned_sim_env.spec import NUM_STATIC_CLASSES, BevSpec, SemanticClass
from learned_sim_env.world_model.geometry import points_from, view_points
from learned_sim_env.world_model.rssm.line_pieces import CLASS, FARTHEST, MIDDLE, PARTS, beside_line, cells_of, classes
from learned_sim_env.world_model.rssm.map.memory import MapMemory

BEV = BevSpec()
ZERO = torch.zeros(1, 3)
ROAD, SOLID = int(SemanticClass.ROAD), int(SemanticClass.SOLID_LINE)


def nothing_to_imagine(rows, remembered):
    raise AssertionError("all of it is known")


def seen(ids: torch.Tensor) -> tuple[MapMemory, torch.Tensor, torch.Tensor]:
    """A map in which `ids` were seen, and its origin; around them is off the road."""
    memory = MapMemory(BEV, 128)
    around = torch.zeros(len(ids), 128, 128, dtype=torch.int16)
    return memory, *memory.observe(around, memory.empty(len(ids))[1], torch.zeros(len(ids), 3), ids)


def drawn(ids: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    """What was seen as `ids`, drawn from `pose`; around it is off the road."""
    memory, cells, origin = seen(ids)
    return memory.complete_view(*memory.follow(cells, origin, pose), pose, nothing_to_imagine)


def line_at(direction: float, aside: float, pose: torch.Tensor = ZERO) -> torch.Tensor:
    """A view (1, 64, 64) from `pose` of a road with a line on the ground, painted as simulators' are."""
    along, across = (
        torch.tensor([math.cos(a), math.sin(a)], dtype=torch.float32) for a in (direction, direction + np.pi / 2)
    )
    ends = torch.stack([across * aside - 60 * along, across * aside + 60 * along])[None] + torch.tensor([12.0, 0.0])
    x, y, heading = pose[0].tolist()
    back = torch.tensor([[-x, -y]]) @ torch.tensor(
        [[math.cos(heading), -math.sin(heading)], [math.sin(heading), math.cos(heading)]]
    )
    row, column = BEV.pixels(points_from(ends, torch.tensor([[*back[0].tolist(), -heading]])))
    image = np.full((64, 64), ROAD, np.uint8)
    points = np.stack([column[0].numpy(), row[0].numpy()], -1)
    cv2.polylines(image, [np.round(points * 16).astype(np.int32)], False, SOLID, 1, lineType=cv2.LINE_8, shift=4)
    return torch.from_numpy(image)[None]


@given(st.integers(0, 2**31), st.integers(0, NUM_STATIC_CLASSES))
@settings(max_examples=30, deadline=None)
def test_from_where_it_was_seen_a_view_is_what_it_was(seed, surfaces):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, NUM_STATIC_CLASSES, (2, 64, 64), generator=generator, dtype=torch.uint8)
    # Anything from noise to road with scattered lines.
    ids = torch.where(torch.rand(2, 64, 64, generator=generator) * NUM_STATIC_CLASSES < surfaces, ROAD, ids).to(
        torch.uint8
    )
    assert torch.equal(drawn(ids, torch.zeros(2, 3)), ids)
    assert torch.equal((cells_of(ids) & CLASS).to(torch.uint8), ids)


def test_a_moved_line_is_nearer_to_the_true_one_than_its_moved_pixels_are():
    generator = np.random.default_rng(0)
    share = {"closely": [], "by pixels": []}
    for _ in range(40):
        direction, aside = generator.uniform(0, np.pi), generator.uniform(-6, 6)
        pose = torch.tensor([[*generator.uniform(-2, 2, 2), generator.uniform(-0.5, 0.5)]], dtype=torch.float32)
        seen, true = line_at(direction, aside), line_at(direction, aside, pose) == SOLID
        row, column = BEV.pixels(points_from(view_points(BEV)[None], pose))
        inside = ((row.round() - 31.5).abs() < 32) & ((column.round() - 31.5).abs() < 32)
        moved = seen[0, row.round().long().clamp(0, 63), column.round().long().clamp(0, 63)].view(1, 64, 64)
        for name, view in (("closely", drawn(seen, pose)), ("by pixels", moved)):
            mine, theirs = (part & inside.view(1, 64, 64) for part in (view == SOLID, true))
            share[name].append((mine & theirs).sum().item() / (mine | theirs).sum().item())
    assert np.mean(share["closely"]) > np.mean(share["by pixels"]) + 0.05


@pytest.mark.parametrize("direction", [0.0, 0.4, math.pi / 4, 1.2, math.pi / 2, 2.5])
def test_a_moved_line_is_as_thin_as_pixels_allow_and_has_hardly_any_gaps(direction):
    counts = []
    for aside in np.linspace(-1, 1, 9):
        view = drawn(line_at(direction, aside), torch.tensor([[0.3, -0.2, 0.1]]))[0] == SOLID
        steep = abs(math.cos(direction - 0.1)) > abs(math.sin(direction - 0.1))
        hit = view.sum(1 if steep else 0)
        first, last = hit.nonzero()[[0, -1], 0].tolist()
        # Where it leaves the view that was seen, it ends.
        assert last - first > 30
        counts.append(hit[first : last + 1])
    counts = torch.cat(counts)
    assert (counts == 0).float().mean() < 0.02 and (counts > 1).float().mean() < 0.3


@given(st.floats(-1000, 1000), st.floats(-1000, 1000), st.floats(-4, 4), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_narrow_numbers_show_what_wide_ones_do_however_far_away(x, y, heading, seed):
    ids = torch.randint(
        0, NUM_STATIC_CLASSES, (1, 64, 64), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )
    memory, cells, origin = seen(ids)
    # The map is a torus: all of it is known, wherever one looks from.
    pose = torch.tensor([[x, y, heading]])
    narrow = memory.complete_view(cells, origin, pose, nothing_to_imagine)
    assert memory._narrow == torch.int16
    memory._narrow = torch.int32
    assert torch.equal(memory.complete_view(cells, origin, pose, nothing_to_imagine), narrow)


@given(st.floats(-7, 7), st.floats(-FARTHEST, FARTHEST))
def test_a_cell_shows_the_line_where_it_passes_and_the_surface_elsewhere(normal, distance):
    cell = beside_line(
        *(torch.tensor([v], dtype=torch.uint8) for v in (SOLID, ROAD)), *torch.tensor([[normal], [distance]])
    )
    x, y = (part.flatten().int() for part in torch.meshgrid(torch.arange(PARTS), torch.arange(PARTS), indexing="ij"))
    shown = classes(cell.expand(1, PARTS**2), (x * PARTS + y)[None], torch.zeros(1))[0]
    assert set(shown.tolist()) <= {ROAD, SOLID}
    assert shown[MIDDLE * PARTS + MIDDLE] == (int(cell) & CLASS)
    # Where exactly, within what the steps of direction and distance allow.
    n = np.array([math.cos(normal), math.sin(normal)])
    n /= np.abs(n).max()
    away = np.abs((np.stack([x, y], -1) - MIDDLE) / PARTS @ n - distance)
    assert (shown[away < 0.3] == SOLID).all() and (shown[away > 0.8] == ROAD).all()


def test_specks_and_blobs_are_no_lines():
    ids = torch.full((1, 64, 64), ROAD, dtype=torch.uint8)
    ids[0, 10, 10] = SOLID
    ids[0, 30:36, 30:36] = SOLID
    cells = cells_of(ids)
    assert cells[0, 10, 10] == SOLID and (cells[0, 32:34, 32:34] == SOLID).all()
    assert (cells[0, 9:12, 9:12].flatten()[[0, 1, 2, 3, 5, 6, 7, 8]] == ROAD).all()
