"""Maps made by hand: two-way roads that wind as told, with as many lanes, and a side road at a junction."""

from __future__ import annotations

import numpy as np

from learned_sim_env.scene import Lane, Line, RoadMap
from learned_sim_env.training.rssm.roads.assembly import assembled, compatible
from learned_sim_env.training.rssm.roads.cutting import Piece, cut
from learned_sim_env.world_model.rssm.roads.library import SUCCESSORS, RoadLibrary

STEP = 1.0  # [m] between points
# [1/m] Of three roads of which pieces are cut; the straight one has a side road.
BENDS = (0.0, 0.02, -0.02)


def winding_road(*parts: tuple[float, float], lanes: int = 2, width: float = 3.5, side_road: bool = False) -> RoadMap:
    """A road of `lanes` each way.

    parts: lengths [m] and curvatures [1/m] of what it consists of; side_road: whether one leaves it to the right, in
    the middle.
    """
    curvature = np.concatenate([np.full(round(length / STEP), bend) for length, bend in parts])
    heading = np.append(0.0, np.cumsum(curvature * STEP))
    chords = (heading[1:] + heading[:-1]) / 2
    places = np.cumsum(np.vstack([[0.0, 0.0], np.stack([np.cos(chords), np.sin(chords)], -1) * STEP]), axis=0)
    normal = np.stack([-np.sin(heading), np.cos(heading)], -1)

    def beside(left: float) -> np.ndarray:
        return places + left * normal

    half = lanes * width / 2
    all_lanes, lines = [], [Line(beside(half)), Line(beside(-half)), Line(beside(3 * half))]
    for k in range(2 * lanes):
        right, left = -half + k * width, -half + (k + 1) * width
        middle = beside((left + right) / 2)
        own = k < lanes
        outline = np.concatenate([beside(left), beside(right)[::-1]])
        all_lanes.append(Lane(outline, middle if own else middle[::-1], on_route=own))
        if k not in (0, lanes):
            lines.append(Line(beside(right), broken=True))
    if side_road:
        at = len(places) // 2
        along, away = normal[at][::-1] * [1, -1], -normal[at]
        ends = [beside(-half)[at] + along * s for s in (-width, width)]
        edges = [end + away * np.arange(0, 40, STEP)[:, None] for end in ends]
        all_lanes.append(Lane(np.concatenate([edges[1], edges[0][::-1]]), np.mean(edges, 0)))
        lines += [Line(edge) for edge in edges]
    return RoadMap(tuple(all_lanes), tuple(lines), places)


def winding_pieces() -> list[Piece]:
    """Pieces of three roads, whose numbers are their sources."""
    found = []
    for number, bend in enumerate(BENDS):
        road_map = winding_road((60.0, 0.0), (50.0, bend), (90.0, 0.0), side_road=bend == 0.0)
        for phase in range(6):
            found += list(cut(road_map, number, np.random.default_rng(phase)))
    return found


def library_of(pieces: list[Piece]) -> RoadLibrary:
    """A library in which on every piece those follow that fit."""
    fits = compatible(pieces)
    chosen = np.stack([np.resize(np.flatnonzero(row) if row.any() else [0], SUCCESSORS) for row in fits])
    return assembled(pieces, chosen)
