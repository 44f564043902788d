"""The remembered map stays where it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learned_sim_env.spec import NUM_STATIC_CLASSES, BevSpec, SemanticClass
from learned_sim_env.world_model.geometry import compose, points_from
from learned_sim_env.world_model.rssm.map.memory import CHUNK, MARGIN, UNKNOWN, MapMemory

BEV = BevSpec()
ZERO = torch.zeros(1, 3)


def seen(ids: torch.Tensor) -> tuple[MapMemory, torch.Tensor, torch.Tensor]:
    memory = MapMemory(BEV, 128)
    cells, origin = memory.observe(*memory.empty(len(ids)), torch.zeros(len(ids), 3), ids)
    return memory, cells, origin


def read_view(memory: MapMemory, cells: torch.Tensor, origin: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
    return memory.read_canvas(cells, origin, pose)[:, MARGIN:-MARGIN, MARGIN:-MARGIN]


def canvas(value: int, batch: int = 1) -> torch.Tensor:
    return torch.full((batch, 64 + 2 * MARGIN, 64 + 2 * MARGIN), int(value), dtype=torch.uint8)


def noise(batch: int = 1, classes: int = NUM_STATIC_CLASSES) -> torch.Tensor:
    return torch.randint(0, classes, (batch, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_what_was_seen_is_read_back_exactly_from_where_it_was_seen():
    ids = noise(3)
    memory, cells, origin = seen(ids)
    assert torch.equal(read_view(memory, cells, origin, torch.zeros(3, 3)), ids)


@given(forward=st.integers(-20, 20), left=st.integers(-20, 20), quarter=st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_a_view_moved_by_whole_pixels_and_quarter_turns_is_exact(forward, left, quarter):
    ids = noise()
    memory, cells, origin = seen(ids)
    pose = torch.tensor([[forward * 0.75, left * 0.75, quarter * np.pi / 2]], dtype=torch.float32)
    view = read_view(memory, cells, origin, pose)[0]
    for row, column in ((48, 32), (10, 20), (60, 63), (0, 0)):
        ahead, side = BEV.ego_row - row, BEV.ego_column - column
        for _ in range(quarter):
            ahead, side = -side, ahead
        r, c = BEV.ego_row - (ahead + forward), BEV.ego_column - (side + left)
        inside = 0 <= r < 64 and 0 <= c < 64
        assert view[row, column] == (ids[0, r, c] if inside else UNKNOWN)


def test_a_guess_counts_as_imagined_and_does_not_replace_what_was_seen():
    memory, known = MapMemory(BEV, 128), torch.ones(64, 64, dtype=torch.bool)
    known[40:] = False
    road, other = (torch.full((1, 64, 64), int(kind), dtype=torch.uint8) for kind in (SemanticClass.ROAD, 0))
    points = torch.from_numpy(BEV.pixel_centres()).reshape(1, -1, 2)

    def places(cells, origin, pose=ZERO) -> tuple[torch.Tensor, torch.Tensor]:
        there = points_from(points, pose)
        return tuple(memory.read(cells, origin, there, seen_only=only).view(64, 64) for only in (True, False))

    first = memory.observe(*memory.empty(1), ZERO, road, known=known)
    really, anyhow = places(*first)
    assert torch.equal(really == SemanticClass.ROAD, known) and (anyhow == SemanticClass.ROAD).all()
    # Ten pixels on, what was seen before lies where there are only guesses now.
    moved = torch.tensor([[7.5, 0.0, 0.0]])
    really, anyhow = places(*memory.observe(*first, moved, other, known=known))
    assert (anyhow[:40] == 0).all() and (anyhow[50:] == 0).all()
    assert (really[40:50] == SemanticClass.ROAD).all() and (really[50:] == UNKNOWN).all()
    # Once it is seen, it is what was seen.
    really, _ = places(*memory.observe(*first, ZERO, other))
    assert (really == 0).all()


def test_movers_and_the_ego_hide_the_map_but_do_not_erase_it():
    ids = noise()
    memory, cells, origin = seen(ids)
    covered = ids.clone()
    covered[0, 20:30, 20:30] = SemanticClass.VEHICLE
    cells, origin = memory.observe(cells, origin, ZERO, covered)
    assert torch.equal(read_view(memory, cells, origin, ZERO), ids)


def test_coming_back_over_the_same_place_finds_the_same_map():
    ids = noise()
    memory, cells, origin = seen(ids)
    pose = ZERO
    for _ in range(30):
        pose = compose(pose, torch.tensor([[0.9, 0.0, 0.03]]))
        cells, origin = memory.follow(cells, origin, pose)
    cells, origin = memory.follow(cells, origin, ZERO)
    assert torch.equal(read_view(memory, cells, origin, ZERO), ids)


def test_what_falls_out_of_the_window_is_forgotten_and_not_mistaken_for_what_is_there_now():
    memory, cells, origin = seen(noise())
    far = torch.tensor([[128 * 0.75, 0.0, 0.0]])
    cells, origin = memory.follow(cells, origin, far)
    assert (read_view(memory, cells, origin, far) == UNKNOWN).all()
    cells, origin = memory.follow(cells, origin, ZERO)
    assert (read_view(memory, cells, origin, ZERO)[0, :20] == UNKNOWN).all()


@given(heading=st.floats(-3.1, 3.1), x=st.floats(-8, 8), y=st.floats(-8, 8))
@settings(max_examples=25, deadline=None)
def test_imagined_pixels_are_remembered_without_holes(heading, x, y):
    memory = MapMemory(BEV, 128)
    pose = torch.tensor([[x, y, heading]])
    cells, origin = memory.follow(*memory.empty(1), pose)
    ids = canvas(SemanticClass.ROAD)
    memory.commit(cells, origin, pose, ids, torch.ones_like(ids, dtype=torch.bool))
    assert (read_view(memory, cells, origin, pose) == SemanticClass.ROAD).all()
    # What was imagined can be told from what was seen.
    points = pose[:, None, :2]
    assert memory.read(cells, origin, points, seen_only=True).item() == UNKNOWN
    assert memory.read(cells, origin, points).item() == SemanticClass.ROAD


def test_imagining_changes_nothing_that_is_known():
    ids = noise()
    memory, cells, origin = seen(ids)
    other = canvas(SemanticClass.ROUTE)
    memory.commit(cells, origin, ZERO, other, torch.ones_like(other, dtype=torch.bool))
    assert torch.equal(read_view(memory, cells, origin, ZERO), ids)
    around = torch.tensor([[[(BEV.ego_row + 1) * 0.75, 0.0]]])
    assert memory.read(cells, origin, around).item() == SemanticClass.ROUTE


def nothing_more(rows, points, turned):
    return torch.full(rows.shape, UNKNOWN, dtype=torch.int16)


def test_what_is_known_exactly_of_a_place_is_drawn_there():
    pose = torch.tensor([[3.3, -1.7, 0.4], [0.0, 0.0, 0.0]])
    memory, cells, origin = seen(torch.full((2, 64, 64), int(SemanticClass.ROAD), dtype=torch.uint8))
    cells, origin = memory.follow(cells, origin, pose)
    told = []

    def imagine(rows, remembered):
        def exact(row, points, turned):
            # A line along y = 2 m of the ground, in the ego's frame.
            ground = points_from(points[:, None], pose[rows[row]])[:, 0]
            told.append(ground)
            assert torch.equal(turned, pose[rows[row], 2])
            on_line = (ground[:, 1] - 2.0).abs() < 0.4
            return torch.where(on_line, int(SemanticClass.SOLID_LINE), UNKNOWN).short()

        return torch.where(remembered == UNKNOWN, int(SemanticClass.ROUTE), remembered).to(torch.uint8), exact

    memory.complete_view(cells, origin, pose, imagine)
    # All that was new, and nothing else, was asked for, by the middles of its cells.
    ground = torch.cat(told)
    assert torch.allclose(ground, (ground / 0.75).round() * 0.75, atol=1e-3)
    shown = memory.read(cells[:1], origin[:1], ground[None])[0]
    line = (ground[:, 1] - 2.0).abs() < 0.4
    assert (
        line.any() and (shown[line] == SemanticClass.SOLID_LINE).all() and (shown[~line] == SemanticClass.ROUTE).all()
    )
    assert (memory.read(cells[1:], origin[1:], torch.tensor([[[5.0, 2.0]]])) == SemanticClass.ROAD).all()


def drive(poses: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Views along a drive (T, B, 3) over road seen at its start, and for which rows something was imagined."""
    memory, cells, origin = seen(torch.full((poses.shape[1], 64, 64), int(SemanticClass.ROAD), dtype=torch.uint8))
    views, asked = [], []
    for pose in poses:
        asked.append(torch.zeros(0, dtype=torch.int64))

        def imagine(rows: torch.Tensor, remembered: torch.Tensor, pose: torch.Tensor = pose):
            assert len(rows) == min(CHUNK, poses.shape[1])
            asked[-1] = torch.cat([asked[-1], rows]).unique()
            made = (pose[rows, 0] * 10).to(torch.uint8)[:, None, None] % NUM_STATIC_CLASSES
            return torch.where(remembered == UNKNOWN, made, remembered), nothing_more

        cells, origin = memory.follow(cells, origin, pose)
        views.append(memory.complete_view(cells, origin, pose, imagine))
        assert (views[-1] < NUM_STATIC_CLASSES).all()
    return views, asked


def test_more_than_the_view_is_imagined_so_that_nothing_is_missing_for_a_while():
    ahead = torch.arange(20.0)[:, None, None] * 0.75 * torch.tensor([1.0, 0.0, 0.0])
    _, asked = drive(ahead)
    # A pixel a step: what was imagined at the first one lasts for the margin.
    needed = [t for t, rows in enumerate(asked) if len(rows)]
    assert needed[0] == 1
    assert len(needed) > 1
    assert (np.diff(needed) > MARGIN).all()


def test_a_row_is_completed_the_same_however_many_others_need_it():
    generator = torch.Generator().manual_seed(0)
    speed = torch.rand(40, generator=generator)
    poses = torch.arange(12.0)[:, None, None] * torch.stack([speed, 0 * speed, 0.05 * speed], -1)
    together, asked = drive(poses)
    assert max(len(rows) for rows in asked) > CHUNK
    for row in (0, 17, 39):
        alone, _ = drive(poses[:, row : row + 1])
        assert all(torch.equal(a[0], b[row]) for a, b in zip(alone, together))


@given(speed=st.floats(0, 1.5), turn=st.floats(-0.05, 0.05))
@settings(max_examples=15, deadline=None)
def test_views_of_the_same_ground_add_up_to_its_map(speed, turn):
    # Ground whose class depends on where it is, coarse enough to survive a turned pixel grid.
    def ground(points: torch.Tensor) -> torch.Tensor:
        return ((points / 12).floor().sum(-1) % 3).to(torch.uint8)

    memory = MapMemory(BEV, 128)
    pose, poses, views = ZERO, [], []
    for _ in range(8):
        poses.append(pose)
        views.append(ground(points_from(memory.points, pose)).view(1, 64, 64))
        pose = compose(pose, torch.tensor([[speed, 0.0, turn]]))
    known = torch.ones(1, 8, dtype=torch.bool)
    known[0, 3] = False
    views[3] = torch.full_like(views[3], 5)
    cells, origin = memory.compose(torch.stack(views, 1), torch.stack(poses, 1), known)
    points = memory.cell_points("cpu")
    ids = memory.read(cells, origin, points)
    shown = ids != UNKNOWN
    assert shown.sum() >= 64 * 64
    assert (ids == ground(points))[shown].float().mean() > 0.85


def test_observing_from_another_pose_keeps_the_map_in_place_around_the_new_view():
    names = SemanticClass.ROAD, SemanticClass.ROUTE
    road, route = (torch.full((1, 64, 64), int(name), dtype=torch.uint8) for name in names)
    memory, cells, origin = seen(road)
    ahead = torch.tensor([[7.5, 0.0, 0.0]])
    cells, origin = memory.observe(cells, origin, ahead, route)
    # The new anchor is 10 pixels ahead: the strip that only the first view held is behind the second one.
    points = torch.tensor([[[0.0, 0.0], [-15 * 0.75 - 7.5, 0.0], [-26 * 0.75, 0.0]]])
    assert memory.read(cells, origin, points)[0].tolist() == [SemanticClass.ROUTE, SemanticClass.ROAD, UNKNOWN]


def test_size_must_be_a_power_of_two():
    with pytest.raises(ValueError, match="96 is not a power of two"):
        MapMemory(BEV, 96)
