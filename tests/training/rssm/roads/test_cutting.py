"""Pieces of road: what is cut can be put together again, and is painted as the simulator's map."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from learned_sim_env.scene import to_frame
from learned_sim_env.training.rssm.roads.cutting import LAST, SHORTEST, cut
from learned_sim_env.training.rssm.roads.sections import STEP, Sections
from tests.winding_roads import winding_road

PARTS = ((70.0, 0.0), (60.0, 0.02), (60.0, 0.0), (50.0, -0.02), (40.0, 0.0))


def pieces_of(road_map, seed=0):
    return list(cut(road_map, 7, np.random.default_rng(seed)))


def placed(pose, exit_pose):
    c, s = np.cos(pose[2]), np.sin(pose[2])
    turned = np.array([c * exit_pose[0] - s * exit_pose[1], s * exit_pose[0] + c * exit_pose[1]])
    return np.append(pose[:2] + turned, pose[2] + exit_pose[2])


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_a_plain_road_is_read_off_its_section(lanes):
    port = Sections(winding_road((80.0, 0.0), (60.0, 0.02), lanes=lanes, width=3.6)).port(50)
    assert port is not None
    assert (port.own, port.opposite) == (lanes, lanes)
    assert port.width == pytest.approx(3.6, abs=0.2)


def test_there_is_no_port_in_a_junction():
    road_map = winding_road((120.0, 0.0), side_road=True)
    ports = [Sections(road_map).port(i) is not None for i in range(60)]
    assert not any(ports[28:33])
    assert all(ports[5:20]) and all(ports[40:55])


def test_pieces_follow_on_each_other_and_make_up_the_route():
    road_map = winding_road(*PARTS)
    pieces = pieces_of(road_map)
    assert len(pieces) > 2
    pose = np.zeros(3)
    start = Sections(road_map).places[0]
    pose[:2] = road_map.route[0] - start
    for before, after in itertools.pairwise(pieces):
        assert before.exit == after.entry
        assert before.length >= SHORTEST - 1
        assert after.order == before.order + 1
    assert pieces[-1].exit is None and pieces[-1].length >= LAST - 2
    # From the first entry on, one exit after another, to the end of the route.
    first = to_frame(road_map.route, np.append(road_map.route[0], 0.0))
    total = sum(piece.length for piece in pieces)
    pose = np.array([*first[round(280 - total)], 0.0])
    for piece in pieces:
        pose = placed(pose, piece.exit_pose)
    assert pose[:2] == pytest.approx(first[-1], abs=1.5)


def test_another_chance_cuts_elsewhere():
    lengths = [[round(p.length) for p in pieces_of(winding_road(*PARTS), seed)] for seed in (0, 1)]
    assert lengths[0] != lengths[1]


def test_nothing_of_a_map_is_lost():
    road_map = winding_road(*PARTS, side_road=True)
    pieces = pieces_of(road_map)
    # Some solid ones are in two pieces, so that there is no gap.
    dashes = sum((~piece.solid).sum() for piece in pieces)
    everything = pieces_of(winding_road(*PARTS, side_road=True), 3)
    assert dashes > 0.7 * sum((~piece.solid).sum() for piece in everything)
    assert any(len(piece.surfaces) > 4 for piece in pieces)


def test_what_stands_on_a_map_stands_on_its_pieces():
    road_map = winding_road(*PARTS)
    sections = Sections(road_map)
    cone, barrier = (np.append(sections.places[i] + [0.0, 1.0], sections.headings[i]) for i in (30, 100))
    objects = np.array([[*cone, 0.2, 0.2], [*barrier, 2.0, 0.3]])
    pieces = list(cut(road_map, 7, np.random.default_rng(0), objects))
    assert sum(len(piece.objects) for piece in pieces) == 1 + 3, "a long one stands at three places"
    for piece in pieces:
        beside = piece.route[np.rint(piece.objects[:, 2] / STEP).astype(int)]
        assert (np.hypot(*(beside - piece.objects[:, :2]).T) < 2).all()
    # The barrier's places are two thirds of a metre apart.
    apart = [np.hypot(*np.diff(p.objects[:, :2], axis=0).T) for p in pieces if len(p.objects) == 3]
    assert np.concatenate(apart) == pytest.approx([2 / 3] * 2)
