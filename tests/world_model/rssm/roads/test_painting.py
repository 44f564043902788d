"""Pieces painted into a map show what the simulator's painter shows of the road that they were cut from."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from learned_sim_env.rendering.bev import BevRenderer
from learned_sim_env.rendering.boxes import paint_boxes
from learned_sim_env.scene import Agents, Scene
from learned_sim_env.spec import CONTRACTS, SemanticClass
from learned_sim_env.training.rssm.roads.assembly import assembled
from learned_sim_env.training.rssm.roads.cutting import cut
from learned_sim_env.training.rssm.roads.sections import Sections
from learned_sim_env.world_model.rssm.map.memory import UNKNOWN, MapMemory
from learned_sim_env.world_model.rssm.roads.library import SUCCESSORS
from learned_sim_env.world_model.rssm.roads.painting import RoadPainter
from tests.scenes import ego
from tests.winding_roads import winding_road

BEV = CONTRACTS["driving"].bev
MEMORY = MapMemory(BEV, 128)


def view(cells, origin, pose):
    return MEMORY._read_subcell(cells[None], torch.tensor(pose, dtype=torch.float32)[None])[0].numpy()


@pytest.mark.parametrize("bend", [0.0, 0.02])
def test_a_painted_piece_is_what_the_simulator_shows(bend):
    road_map = winding_road((60.0, 0.0), (60.0, bend), (80.0, 0.0), side_road=True)
    pieces = list(cut(road_map, 0, np.random.default_rng(0)))
    library = assembled(pieces, np.zeros((len(pieces), SUCCESSORS), np.int64))
    sections = Sections(road_map)
    # All pieces where they were cut from: the last one's exit is the route's end.
    poses, at = [], len(sections) - 1
    for piece in reversed(pieces):
        at -= len(piece.route) - 1
        poses.insert(0, [*sections.places[at], sections.headings[at]])
    agreed = []
    for station in (40, 50, 60):
        pose = np.append(sections.places[station], sections.headings[station] + 0.1)
        cells, origin = MEMORY.empty(1)
        cells, origin = MEMORY.follow(cells, origin, torch.tensor(pose, dtype=torch.float32)[None])
        painter = RoadPainter(library, 128, BEV.metres_per_pixel)
        painted = cells[0].numpy()
        painter.paint(
            painted,
            origin[0].numpy(),
            np.arange(len(pieces)),
            np.array(poses),
            np.ones(len(pieces)),
            np.zeros(len(pieces)),
        )
        shown = view(torch.from_numpy(painted), origin, pose)
        truth = BevRenderer(BEV).map_layer(Scene(road_map, ego(*pose), Agents.none()))
        known = shown != UNKNOWN
        assert known.mean() > 0.9
        agreed.append((shown == truth)[known].mean())
        # Lines are crisp: about as many pixels as where the simulator draws them, which are a tenth thinner.
        lines = [((v == SemanticClass.SOLID_LINE) & known).sum() for v in (shown, truth)]
        assert lines[0] == pytest.approx(lines[1], rel=0.2)
    assert min(agreed) > 0.96


def test_what_is_remembered_stays(library):
    cells, origin = MEMORY.empty(1)
    cells = cells.clone()
    cells[0, :40] = SemanticClass.STATIC_OBJECT
    before = cells[0].clone().numpy()
    painted = cells[0].numpy()
    RoadPainter(library, 128, BEV.metres_per_pixel).paint(
        painted, origin[0].numpy(), np.array([-1, 0]), np.zeros((2, 3)), np.ones(2), np.zeros(2)
    )
    kept = before != UNKNOWN
    assert (painted[kept] == before[kept]).all()
    assert (painted != before).any()


def test_ground_beyond_the_newest_piece_is_left_to_the_next(library):
    cells, origin = MEMORY.empty(1)
    painted = cells[0].numpy()
    pose = np.array([[-30.0, 0.0, 0.0]])
    first = int((~library.last).nonzero()[0, 0])
    RoadPainter(library, 128, BEV.metres_per_pixel).paint(
        painted, origin[0].numpy(), np.array([first]), pose, np.ones(1), np.zeros(1)
    )
    points = MEMORY.cell_points("cpu")[0].numpy()
    ids = MEMORY.read(torch.from_numpy(painted)[None], origin, torch.from_numpy(points)[None].float())[0].numpy()
    end = library.exit_pose[first, 0].item() - 30.0
    beyond = (points[:, 0] > end + 1.0) & (np.abs(points[:, 1]) < 5)
    before = (points[:, 0] < end - 1.0) & (points[:, 0] > -29.0) & (np.abs(points[:, 1]) < 5)
    assert (ids[beyond] == UNKNOWN).all()
    assert (ids[before] != UNKNOWN).all()


def test_what_stands_on_a_piece_is_painted_as_the_simulators_is(coned):
    pose = np.array([0.0, 0.0, 0.1])
    memory, painter = MapMemory(BEV, 128), RoadPainter(coned, 128, BEV.metres_per_pixel)
    cells, origin = memory.empty(1)
    painter.paint(cells[0].numpy(), origin[0].numpy(), np.array([1]), pose[None], np.ones(1), np.zeros(1))
    shown = view(cells[0], origin, pose)
    # The same two cones in a scene, each 0.2 m wide.
    truth = np.zeros_like(shown)[None]
    cones = coned.objects[1, :2].numpy().copy()
    cones[:, 2] = 0.0
    size, kind = np.full((2, 2), 0.2), np.full(2, int(SemanticClass.STATIC_OBJECT))
    paint_boxes(truth, np.zeros(2, int), cones, size, kind, BEV)
    (count, where), (wanted, expected) = (_blobs(image == SemanticClass.STATIC_OBJECT) for image in (shown, truth[0]))
    assert count == wanted == 2
    assert where == pytest.approx(expected, abs=0.75)
    # Nothing is painted over what was seen.
    cells = torch.full_like(cells, int(SemanticClass.ROAD))
    painter.paint(cells[0].numpy(), origin[0].numpy(), np.array([1]), pose[None], np.ones(1), np.zeros(1))
    assert (cells == int(SemanticClass.ROAD)).all()


def _blobs(mask):
    """How many connected patches there are, and their middles."""
    count, _, _, middles = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return count - 1, middles[1:]
